//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// commitCases are many lanes with a little data each that share one destination.
func commitCases(srv *benchServer, short bool) []benchCase {
	seconds := 40
	if short {
		seconds = 20
	}
	return []benchCase{{"group commit, 5,000 lanes", func() (bool, error) { return groupCommit(srv, seconds) }}}
}

const (
	commitLanes  = 5_000
	commitWrites = 1.2 // a second
	commitMemory = 150 * mib
	commitLinger = 900 * time.Millisecond
	commitGC     = 400
)

// joined is what the commit role reports.
type joined struct {
	Peak   int64 // RSS in bytes
	Writes int64
	Groups int64
	Took   time.Duration // from the first write to the last
}

func (j joined) rate() float64 { return float64(j.Writes-1) / j.Took.Seconds() }

func groupCommit(srv *benchServer, seconds int) (bool, error) {
	few, err := srv.commit("COMMITFEW", 10, seconds)
	if err != nil {
		return false, err
	}
	many, err := srv.commit("COMMIT", commitLanes, seconds)
	if err != nil {
		return false, err
	}
	kept := many.rate() <= commitWrites && many.Peak-few.Peak <= commitMemory
	return say("group commit", kept, fmt.Sprintf("at most %.1f writes a second and %d MiB above 10 lanes", commitWrites, commitMemory/mib),
		"%.2f writes a second, peak RSS %d MiB, %d MiB above that of 10 lanes (%d groups in %.0f s)",
		many.rate(), many.Peak/mib, (many.Peak-few.Peak)/mib, many.Groups, many.Took.Seconds())
}

// commit has a worker consume one group a second for each lane while it is published.
func (s *benchServer) commit(stream string, lanes, seconds int) (joined, error) {
	l := load{stream, 0, 1000, lanes, 0}
	if err := s.publish(l); err != nil { // makes the stream
		return joined{}, err
	}
	l.Messages = lanes * seconds
	text, err := l.json()
	if err != nil {
		return joined{}, err
	}
	cmd := role("commit", map[string]string{"URL": s.url, "LOAD": text, "DURABLE": "d"})
	cmd.Env = append(cmd.Env, "GOGC="+strconv.Itoa(commitGC), "GOMEMLIMIT="+strconv.FormatInt((256+64+64)*mib, 10)) // as `run` does
	if *profiles != "" {
		cmd.Env = append(cmd.Env, "BENCH_PROFILE="+filepath.Join(*profiles, stream+".prof"), "BENCH_HEAP="+filepath.Join(*profiles, stream+".heap"))
	}
	failed := make(chan error, 1)
	go func() { failed <- s.publishPaced(l, seconds) }()
	var j joined
	return j, errors.Join(output(cmd, &j), <-failed)
}

// publishPaced publishes a group for each lane in each second, evenly.
func (s *benchServer) publishPaced(l load, seconds int) error {
	nc, err := nats.Connect(s.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4*l.Keys))
	if err != nil {
		return err
	}
	body, err := sample(l.Bytes).Marshal()
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // the worker starts
	began, sent := time.Now(), 0
	for sent < l.Keys*seconds {
		due := min(int(time.Since(began).Seconds()*float64(l.Keys)), l.Keys*seconds)
		for ; sent < due; sent++ {
			m := keyed(l, body, sent)
			if _, err := js.PublishMsgAsync(m); err != nil {
				return err
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	<-js.PublishAsyncComplete()
	return nil
}

// runCommit is the consumer: its flushers join writes to one file that is synced.
func runCommit() error {
	env, err := readEnv()
	if err != nil {
		return err
	}
	env.maxPods = 2
	if err := env.createConsumer(); err != nil {
		return err
	}
	env.maxPods = 1 // this process may hold all of MaxAckPending
	f, err := os.CreateTemp("", "flushline-commit")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // a temporary file left over is nobody's loss
	d := &destination{file: f}
	w, err := newWorker(flushers.Kind{
		Name: "joined", Summary: "Joins writes to one file.", NoRetain: true, Joins: true,
		New: func() flushers.Flusher { return &joiner{destination: d} },
	}, func(c *worker.Config) { c.GCPercent = commitGC })
	if err != nil {
		return err
	}
	stop, err := profile()
	if err != nil {
		return err
	}
	err = env.consumeWith(w, 16384, func(st *worker.Status) bool {
		if len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)/2 {
			heapProfile()
		}
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	})
	stop()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(joined{
		Peak: rssPeak() << 10, Writes: d.writes.Load(), Groups: d.groups.Load(), Took: time.Duration(d.last.Load() - d.first.Load()),
	})
}

// heapProfile writes what lives on the heap if that was asked for.
func heapProfile() {
	path := os.Getenv("BENCH_HEAP")
	if path == "" {
		return
	}
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer f.Close()
	_ = pprof.WriteHeapProfile(f) // for people; the measurement does not need it
}

// destination is what the lanes share.
type destination struct {
	file    *os.File
	commits *flushers.GroupCommit[[]byte]

	writes, groups, first, last atomic.Int64
}

func (d *destination) open() (io.Closer, error) {
	d.commits = flushers.NewGroupCommit(flushers.CommitLimits{Linger: commitLinger}, d.write)
	return d.commits, nil
}

func (d *destination) write(_ context.Context, items [][]byte) error {
	now := time.Now().UnixNano()
	d.first.CompareAndSwap(0, now)
	d.last.Store(now)
	d.writes.Add(1)
	d.groups.Add(int64(len(items)))
	for _, b := range items {
		if _, err := d.file.Write(b); err != nil {
			return err
		}
	}
	return d.file.Sync()
}

// joiner is one instance.
type joiner struct {
	destination *destination
	commits     *flushers.GroupCommit[[]byte]
	release     func()
	urgent      atomic.Bool
}

func (j *joiner) Init(c flushers.Context) error {
	v, release, err := c.Shared("file", j.destination.open)
	if err != nil {
		return err
	}
	j.release = release
	shared, ok := v.(*flushers.GroupCommit[[]byte])
	if !ok {
		return fmt.Errorf("a %T is shared", v)
	}
	j.commits = shared
	return nil
}
func (*joiner) Description() string                { return "for measurements" }
func (*joiner) IsReady(string, string, int64) bool { return true }
func (j *joiner) SetUrgent(flag bool)              { j.urgent.Store(flag) }
func (j *joiner) Stop() error                      { j.release(); return nil }

func (*joiner) Flush(string, string, string, []*protocol.LogGroup) error {
	return errors.New("FlushBatch is called instead")
}

func (j *joiner) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	var data []byte
	for _, raw := range b.Raw {
		data = append(data, raw...)
	}
	return j.commits.Join(ctx, data, int64(len(data)), j.urgent.Load())
}
