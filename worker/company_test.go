package worker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// Lanes that come together, toward a destination whose calls are slow, do not each
// hold up a shared runner first.
func TestNewLanesOfASlowDestinationStartTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow, quick := checker.New(), checker.New()
		slow.SetDelay(time.Second)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{
			routeOf("slow", worker.Match{Project: "p"}, entryOf("out", slow)),
			routeOf("quick", worker.Match{}, entryOf("out", quick)),
		}})
		r.publish(500, 500)
		time.Sleep(50 * time.Millisecond)
		if n := slow.Stats().Running; n != 500 {
			t.Fatalf("%d of 500 lanes are in Flush after 50 ms", n)
		}
		r.q.Publish(keyed("other", "l", encode(t, group("x"))))
		time.Sleep(20 * time.Millisecond)
		if quick.Stats().Groups != 1 {
			t.Fatal("another destination waits for the slow one")
		}
		r.acked(501)
		slow.SetDelay(0)
		r.publish(500, 500)
		r.acked(1001)
		r.mustStop()
		r.drained()
	})
}

// What waits in a write that many share costs less than a request of its own.
func TestCallsOfAKindThatJoinsAreChargedLess(t *testing.T) {
	for name, c := range map[string]struct {
		joins       bool
		least, most int
	}{
		"requests": {false, 10, 40},
		"joins":    {true, 100, 100},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				release := s.Hang()
				e := entryOf("out", s)
				e.Kind.Joins = c.joins
				cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}}
				cfg.Limits.Work = 1 << 20
				r := start(t, memory.Config{}, cfg)
				r.publish(100, 100)
				time.Sleep(10 * time.Second)
				if n := s.Stats().Running; n < c.least || n > c.most {
					t.Fatalf("%d lanes are in Flush at a time, want %d to %d", n, c.least, c.most)
				}
				release()
				r.acked(100)
				r.mustStop()
				r.drained()
			})
		})
	}
}

// Many lanes, one write a second: the whole way through the worker, with lanes that
// fail, hang and leave.
func TestLanesJoinWritesThroughTheWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &shop{}
		kind := flushers.Kind{Name: "shop", Summary: "Joins writes.", NoRetain: true, Joins: true, New: func() flushers.Flusher { return &customer{shop: d} }}
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{
			routeOf("all", worker.Match{}, worker.Entry{Name: "out", Kind: kind, New: kind.New}),
		}})
		for range 20 {
			r.publish(300, 300)
			time.Sleep(time.Second)
		}
		r.acked(6000)
		r.balanced()
		before := time.Now()
		r.publish(300, 300)
		synctest.Wait()
		r.mustStop()
		if took := time.Since(before); took > 4*time.Second {
			t.Errorf("the stop waited %v for company", took)
		}
		r.drained()
		if n := d.opens.Load(); n != 1 || d.closes.Load() != 1 {
			t.Errorf("%d destinations were opened and %d closed, want one", n, d.closes.Load())
		}
		if n := d.writes.Load(); n > 60 {
			t.Errorf("%d writes for 6,300 groups in 21 s", n)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		for lane, n := range d.stored {
			if n != 21 {
				t.Errorf("%s has %d groups, want 21", lane, n)
			}
		}
		if len(d.stored) != 300 {
			t.Errorf("%d lanes have stored", len(d.stored))
		}
	})
}
