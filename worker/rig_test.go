package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// rig is a worker on a memory queue with checkers as destinations. It lives in a
// synctest bubble, so waits cost nothing and time is exact.
type rig struct {
	t       *testing.T
	w       *worker.Worker
	q       *memory.Queue
	letters *memory.Sink
	end     context.CancelFunc
	done    chan error
	ended   bool
}

// entryOf is a flusher entry backed by a script.
func entryOf(name string, s *checker.Script) worker.Entry {
	k := s.Kind()
	return worker.Entry{Name: name, Kind: k, New: k.New}
}

func routeOf(name string, match worker.Match, entries ...worker.Entry) worker.Route {
	return worker.Route{Name: name, Match: match, Flushers: entries}
}

func start(t *testing.T, q memory.Config, cfg worker.Config) *rig {
	t.Helper()
	r := &rig{t: t, q: memory.New(q), letters: memory.NewSink("letters"), done: make(chan error, 1)}
	if cfg.Deployment == "" {
		cfg.Deployment = "test"
	}
	if cfg.DeadLetter.Sink == nil {
		cfg.DeadLetter.Sink = r.letters
	} else if cfg.DeadLetter.Sink == noLetters {
		cfg.DeadLetter.Sink = nil
	}
	var err error
	if r.w, err = worker.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	go func() { r.done <- r.w.Run(ctx, r.q) }()
	t.Cleanup(func() {
		if r.ended {
			return
		}
		if !t.Failed() {
			t.Error("the test did not stop its worker")
		}
		r.end()
		r.w.Hurry()
		<-r.done
	})
	return r
}

var noLetters queue.Sink = memory.NewSink("none")

// stop begins the stop and returns what Run returned.
func (r *rig) stop() error {
	r.t.Helper()
	r.end()
	err := <-r.done
	r.ended = true
	r.balanced()
	return err
}

func (r *rig) mustStop() {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Fatalf("Run returned %v", err)
	}
}

// balanced checks I5 and that no delivery was settled twice.
func (r *rig) balanced() {
	r.t.Helper()
	st := r.w.Status()
	for _, s := range st.Sources {
		if !s.Counts.Balanced() {
			r.t.Fatalf("the counts of source %s do not add up: %+v", s.Name, s.Counts)
		}
	}
	for _, f := range st.Flushers {
		if !f.Counts.Balanced() {
			r.t.Fatalf("the counts of flusher %s do not add up: %+v", f.Flusher, f.Counts)
		}
	}
	if st.Defects != 0 {
		r.t.Fatalf("%d deliveries were settled twice", st.Defects)
	}
	if n := r.q.EarlyReleases(); n != 0 {
		r.t.Fatalf("%d messages were released while their strand lived", n)
	}
}

func (r *rig) drained() {
	r.t.Helper()
	for _, p := range r.w.Status().Pools {
		if p.Used != 0 {
			r.t.Fatalf("pool %s holds %d bytes after the end", p.Name, p.Used)
		}
	}
}

func (r *rig) acked(n int64) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := r.q.WaitAcked(ctx, n); err != nil {
		r.t.Fatalf("%v; status %+v", err, r.w.Status())
	}
}

func (r *rig) lane(state string) worker.LaneStatus {
	r.t.Helper()
	for _, l := range r.w.Status().Lanes {
		if l.State == state {
			return l
		}
	}
	r.t.Fatalf("no lane is %s: %+v", state, r.w.Status().Lanes)
	return worker.LaneStatus{}
}

// bubble runs a test where time is virtual.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func group(id string) *protocol.LogGroup {
	return &protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "id", Value: id}}}}}
}

func idOf(g *protocol.LogGroup) string { return g.Logs[0].Contents[0].Value }

func encode(t *testing.T, g *protocol.LogGroup) []byte {
	t.Helper()
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func keyed(project, logstore string, value []byte, extra ...queue.Header) queue.Message {
	return queue.Message{Value: value, Headers: append([]queue.Header{
		{Key: "X-Log-Project", Value: project}, {Key: "x-log-logstore", Value: logstore}, {Key: "x-log-config", Value: "c"},
	}, extra...)}
}

func (r *rig) publish(n int, logstores int) {
	r.t.Helper()
	for i := range n {
		r.q.Publish(keyed("p", fmt.Sprintf("ls%d", i%logstores), encode(r.t, group(fmt.Sprint(i)))))
	}
}

func clean(t *testing.T, s *checker.Script) {
	t.Helper()
	if v := s.Violations(); len(v) > 0 {
		t.Fatalf("the contract was broken: %q", v)
	}
}

var errDown = errors.New("connection refused")

var _ flushers.Flusher = (*checker.Flusher)(nil)
