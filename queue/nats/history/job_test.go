package history_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/history"
	"github.com/flushline/flushline/queue/nats/jobstate"
	"github.com/flushline/flushline/test/natsbroker"
)

// worker acknowledges what comes, and says when it has had so many.
type worker struct {
	mu   sync.Mutex
	came map[int64]int // how often, by position
	n    atomic.Int64
	at   int64
	then func()
}

func (w *worker) Serve(ctx context.Context, s queue.Strand) error {
	for {
		ds, err := s.Fetch(ctx, queue.Room{Messages: 64, Bytes: 1 << 20})
		for _, d := range ds {
			w.mu.Lock()
			w.came[d.Message().Position]++
			w.mu.Unlock()
			d.Account([]queue.PartEnd{{Route: "r", Flusher: "f", Outcome: queue.Flushed}})
			d.Ack()
			d.Free()
			if w.n.Add(1) == w.at {
				w.then()
			}
		}
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
	}
}

func (w *worker) Take(_ context.Context, _, most int64) (int64, error) { return most, nil }
func (w *worker) Give(int64)                                           {}
func (w *worker) Charge(int64)                                         {}

// start is one start of a shard.
func (s *shelf) start(conn *nats.Conn, shard int) (*job.Source, job.State, job.Lease) {
	s.Helper()
	st, err := jobstate.Open(s.Context(), conn, jobstate.Bucket, "nightly", jobstate.Options{Lease: time.Second, Like: "LOGS"})
	if err != nil {
		s.Fatal(err)
	}
	value, err := st.Manifest(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	m, err := job.ParseManifest(value)
	if err != nil {
		s.Fatal(err)
	}
	l, err := st.Claim(s.Context(), shard)
	if err != nil {
		s.Fatal(err)
	}
	src, err := job.New(job.Config{
		Name: "nats", Manifest: m, Input: history.NewInput(conn, s.cfg, history.Options{}), Shard: shard, Lease: l,
		Slices: func(ctx context.Context) job.Slices { return job.SlicesOf(ctx, st, m) },
	})
	if err != nil {
		s.Fatal(err)
	}
	return src, st, l
}

func (s *shelf) publishPlan(of int) {
	s.Helper()
	st, err := jobstate.Open(s.Context(), s.conn, jobstate.Bucket, "nightly", jobstate.Options{})
	if err != nil {
		s.Fatal(err)
	}
	p, err := s.plan("earliest", "end", of)
	if err != nil {
		s.Fatal(err)
	}
	pieces, size := job.Pieces(p.Slices, of)
	manifest := func(n int) ([]byte, error) {
		return json.Marshal(job.Manifest{Version: 1, Job: "nightly", Kind: p.Kind, Range: p.Range, Pieces: n, Shards: size()})
	}
	if err := errors.Join(st.Publish(s.Context(), pieces, manifest), st.Close()); err != nil {
		s.Fatal(err)
	}
}

// cutOff is a start whose line is cut when the worker has had its messages; nothing of
// it reaches the server from there on.
func (s *shelf) cutOff(w *worker, shard int) {
	s.Helper()
	line := new(natsbroker.Line)
	conn := s.Connect(natsgo.SetCustomDialer(line))
	src, st, _ := s.start(conn, shard)
	ctx, stop := context.WithCancelCause(s.Context())
	defer stop(nil)
	w.then = func() {
		line.Cut()
		stop(&queue.End{Reason: queue.Stopping, Deadline: time.Now()})
	}
	if err := src.Run(ctx, w); err == nil {
		s.Error("the last checkpoint of a start whose line was cut has been stored")
	}
	if err := st.Close(); err != nil {
		s.Error(err)
	}
	conn.Close()
}

// A job in a bucket is cut off, goes on, meets a restart of the server, and delivers
// its range.
func TestAJobGoesOnAfterItWasCutOff(t *testing.T) {
	t.Parallel()
	const each, of = 6000, 2
	s := newShelf(t)
	s.publish(2*each, "logs.a", "other.b")
	s.publishPlan(of)
	var messages, absent, twice, came, more int64
	for shard := range of {
		w := &worker{came: map[int64]int{}, at: 1000}
		starts := int64(1)
		if shard == 0 {
			s.cutOff(w, shard)
			starts = 2
		}
		src, st, l := s.start(s.Connect(), shard)
		w.at = w.n.Load() + 500
		restarted := make(chan struct{})
		w.then = func() {
			go func() {
				defer close(restarted)
				s.Stop()
				s.Broker.Start()
			}()
		}
		if err := src.Run(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		<-restarted
		r := src.Report()
		if !r.Finished || r.Starts != starts || r.Killed != starts-1 || len(r.Missing()) != 0 || r.Groups["r/f"].Flushed != r.Messages {
			t.Errorf("shard %d: %+v", shard, r)
		}
		messages += r.Messages
		absent += r.Passed[job.PassedAbsent]
		twice += r.Twice
		came += int64(len(w.came))
		for n := range maps.Values(w.came) {
			more += int64(n - 1)
		}
		if err := errors.Join(l.Release(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
		again, st, l := s.start(s.Connect(), shard)
		if !again.Done() {
			t.Errorf("shard %d has ended and does not know it", shard)
		}
		if err := errors.Join(l.Release(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
	}
	if messages != each || absent != each || came != each {
		t.Errorf("the reports say %d messages and %d absent, %d came; want %d each", messages, absent, came, each)
	}
	if more > twice {
		t.Errorf("%d came twice, the reports say at most %d", more, twice)
	}
	t.Logf("%d came twice of at most %d", more, twice)
}
