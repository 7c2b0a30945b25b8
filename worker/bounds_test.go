package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
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

// stopsWithin fails unless a stop with a drain of ten seconds ends in half a
// minute.
func (r *rig) stopsInTime(want error) {
	r.t.Helper()
	began := time.Now()
	if err := r.stop(); !errors.Is(err, want) {
		r.t.Fatalf("Run returned %v, want %v", err, want)
	}
	if took := time.Since(began); took > 30*time.Second {
		r.t.Fatalf("a stop with a drain of 10s took %v", took)
	}
}

func TestAStopIsBoundedWhateverHangs(t *testing.T) {
	type world struct {
		s *checker.Script
		r *rig
	}
	for name, c := range map[string]struct {
		want  error
		begin func(w *world) (release func())
	}{
		"Init": {nil, func(w *world) func() {
			return w.s.HangInit()
		}},
		"IsReady": {nil, func(w *world) func() {
			open := make(chan struct{})
			w.s.ReadyWhen(func(protocol.Key) bool { <-open; return true })
			return func() { close(open) }
		}},
		"Flush":   {worker.ErrDrainDeadline, func(w *world) func() { return w.s.Hang() }},
		"unready": {nil, func(w *world) func() { w.s.SetReady(false); return func() {} }},
		"RetryAfter": {nil, func(w *world) func() {
			return w.s.Fail(flushers.RetryAfter(errors.New("429"), time.Minute))
		}},
		"Misconfigured": {nil, func(w *world) func() {
			return w.s.Fail(flushers.Misconfigured(errors.New("401")))
		}},
		"dead letters": {nil, func(w *world) func() {
			w.s.Fail(flushers.Permanent(errors.New("400")))
			return w.r.letters.Block()
		}},
		"Stop of hundreds": {nil, func(w *world) func() {
			open := make(chan struct{})
			w.s.OnStop(func(protocol.Key) error { <-open; return nil })
			return func() { close(open) }
		}},
		"guard": {nil, func(w *world) func() {
			return w.s.Fail(flushers.Permanent(errors.New("400")))
		}},
		"lanes exhausted": {nil, func(w *world) func() { w.s.SetReady(false); return func() {} }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				cfg := worker.Config{Drain: 10 * time.Second, Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
				switch name {
				case "guard":
					cfg.DeadLetter.StopAfter = 3
				case "lanes exhausted":
					cfg.Limits.Lanes = 2
				}
				w := &world{s: s, r: start(t, memory.Config{}, cfg)}
				release := c.begin(w)
				w.r.publish(300, 300)
				time.Sleep(5 * time.Second)
				w.r.stopsInTime(c.want)
				release()
				synctest.Wait()
				w.r.balanced()
				w.r.drained()
				if name != "Stop of hundreds" && w.r.q.Pending()+w.r.q.Acked() != 300 {
					t.Fatalf("%d pending and %d acknowledged of 300", w.r.q.Pending(), w.r.q.Acked())
				}
			})
		})
	}
}

// A lane that waits for 30 s is tried again 100 ms after the stop began.
func TestAStopShortensLongWaits(t *testing.T) {
	for name, err := range map[string]error{
		"Misconfigured": flushers.Misconfigured(errors.New("401")),
		"RetryAfter":    flushers.RetryAfter(errors.New("429"), 5*time.Minute),
		"Init":          nil,
		"letters":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				switch name {
				case "Init":
					s.FailInit(1, flushers.Misconfigured(errors.New("no table")))
				case "letters":
					s.Fail(flushers.Permanent(errors.New("400")))
					r.letters.FailNext(-1, errDown)
				default:
					s.FailNext(1, err)
				}
				r.publish(1, 1)
				if name == "letters" {
					time.Sleep(10 * time.Minute)
					r.letters.FailNext(0, nil)
				}
				time.Sleep(time.Second)
				began := time.Now()
				r.mustStop()
				if took := time.Since(began); took > time.Second || r.q.Pending() != 0 {
					t.Fatalf("the stop took %v and left %d messages", took, r.q.Pending())
				}
				r.drained()
			})
		})
	}
}

// A lane whose old instance hangs in Stop gets a new one when that is given up.
func TestALaneDoesNotWaitForAStopThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.OneInstance = true
		open := make(chan struct{})
		s.OnStop(func(protocol.Key) error { <-open; return nil })
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.Limits.Lanes = 1
		r := start(t, memory.Config{}, cfg)
		for i := range 6 {
			r.publish(2, 2)
			r.acked(int64(i+1) * 2)
		}
		close(open)
		r.mustStop()
		r.drained()
		clean(t, s)
	})
}

// A Fetch may return more than the budget holds. Then nobody else frees bytes, and
// decompression has to go on.
func TestAnOverdrawnFetchIsTakenIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		cfg := worker.Config{Deployment: "test", Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.Limits.InFlight = 4 << 10
		w, err := worker.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		src := &greedy{t: t}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.Run(ctx, src); err != nil {
			t.Fatal(err)
		}
		if src.acked.Load() != 5 {
			t.Fatalf("%d of 5 are acknowledged", src.acked.Load())
		}
	})
}

// greedy hands out five compressed messages at once, far beyond the budget, and
// ends.
type greedy struct {
	t     *testing.T
	host  queue.Host
	done  bool
	acked atomic.Int64
}

func (g *greedy) Run(ctx context.Context, h queue.Host) error { g.host = h; return h.Serve(ctx, g) }
func (g *greedy) Info() queue.Info                            { return queue.Info{Source: "greedy", Bounded: true} }
func (g *greedy) Status() queue.Status                        { return queue.Status{} }
func (g *greedy) Ack(*queue.Delivery)                         { g.acked.Add(1) }
func (g *greedy) Release(*queue.Delivery)                     {}

func (g *greedy) Fetch(context.Context, queue.Room) ([]*queue.Delivery, error) {
	if g.done {
		return nil, io.EOF
	}
	g.done = true
	var ds []*queue.Delivery
	for i := range 5 {
		body, err := protocol.Compress(nil, encode(g.t, group(fmt.Sprint(i))), protocol.EncodingGzip)
		if err != nil {
			g.t.Error(err)
		}
		m := keyed("p", "ls", body, queue.Header{Key: "content-encoding", Value: "gzip"})
		d := new(queue.Delivery)
		g.host.Charge(m.Held())
		d.Init(m, queue.Origin{byte(i)}, 1, m.Held(), g, g.host.Give)
		ds = append(ds, d)
	}
	return ds, nil
}
