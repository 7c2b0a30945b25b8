package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// parkRig is a worker whose routes park: ls0 goes to a, everything else to b.
func parkRig(t *testing.T, cfg worker.Config, a, b *checker.Script) (*rig, *memory.Parked) {
	t.Helper()
	parked := memory.NewParked("memory")
	cfg.Parked = parked
	cfg.Routes = []worker.Route{
		routeOf("a", worker.Match{Logstore: "ls0"}, entryOf("x", a)), routeOf("b", worker.Match{}, entryOf("x", b)),
	}
	for i := range cfg.Routes {
		cfg.Routes[i].Park = true
	}
	return start(t, memory.Config{}, cfg), parked
}

// allArrives waits until nothing is parked any more and so many groups came to the
// destination, then stops the worker.
func (r *rig) allArrives(parked *memory.Parked, s *checker.Script, want int, within time.Duration) {
	r.t.Helper()
	time.Sleep(within)
	synctest.Wait()
	if n := parked.Waiting(); n != 0 {
		r.t.Fatalf("%d records are parked still; status %+v", n, r.w.Status())
	}
	if got := len(s.Count()); got != want {
		r.t.Errorf("%d groups arrived, want %d", got, want)
	}
	r.mustStop()
	r.drained()
	clean(r.t, s)
}

// isParked waits for what the worker does by itself and expects so many acknowledgements
// and parked records.
func (r *rig) isParked(parked *memory.Parked, acked int64, waiting int) {
	r.t.Helper()
	synctest.Wait()
	if n, waits := r.q.Acked(), parked.Waiting(); n != acked || waits != waiting {
		r.t.Fatalf("%d messages are acknowledged and %d parked, want %d and %d", n, waits, acked, waiting)
	}
}

func (r *rig) laneOf(logstore string) (worker.LaneStatus, bool) {
	for _, l := range r.w.Status().Lanes {
		if l.Logstore == logstore {
			return l, true
		}
	}
	return worker.LaneStatus{}, false
}

// A destination that takes nothing costs its own lane: what is for it is parked when
// its oldest part has waited, and the rest goes on. When it is back, all of it arrives.
func TestADeadDestinationParksAndEverythingArrivesWhenItIsBack(t *testing.T) {
	for _, c := range []struct {
		name string
		dead func(*checker.Script) (back func())
	}{
		{"fails", func(s *checker.Script) func() { return s.Fail(errDown) }},
		{"is not ready", func(s *checker.Script) func() { s.SetReady(false); return func() { s.SetReady(true) } }},
		{"is misconfigured", func(s *checker.Script) func() { return s.Fail(flushers.Misconfigured(errDown)) }},
		{"hangs", func(s *checker.Script) func() { return s.Stall() }},
		{"hangs for good", func(s *checker.Script) func() { return s.Hang() }},
		{"has no Init", func(s *checker.Script) func() { return s.OnInit(-1, func(flushers.Context) error { return errDown }) }},
		{"hangs in Init", func(s *checker.Script) func() { return s.HangInit() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := checker.New(), checker.New()
				back := c.dead(a)
				r, parked := parkRig(t, worker.Config{}, a, b)
				r.publish(200, 2)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if n := r.q.Acked(); n != 100 {
					t.Fatalf("%d messages are acknowledged, want the hundred of the healthy lane", n)
				}
				time.Sleep(30 * time.Second) // a Flush is abandoned behind 21 s
				r.isParked(parked, 200, 100)
				if l, ok := r.laneOf("ls0"); !ok || l.State != worker.LaneParking || l.Park == nil || l.Park.Phase != worker.ParkBlocked || l.Why == "" {
					t.Errorf("the lane is shown as %+v", l)
				}
				for range 300 { // live traffic of an outage: all of it is parked at once
					r.publish(2, 2)
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if n := r.q.Acked(); n < 799 {
					t.Errorf("%d of 800 messages are acknowledged: a try holds one at most", n)
				}
				back()
				r.allArrives(parked, a, 400, 3*time.Minute)
			})
		})
	}
}

// While it is down a destination is tried seldom: 5 s after it was given up, then up to
// a minute apart.
func TestProbesAreRare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		a.Fail(errDown)
		r, _ := parkRig(t, worker.Config{}, a, b)
		r.publish(1, 1)
		time.Sleep(15 * time.Second)
		before := a.Stats().Flushes
		for range 600 {
			r.publish(10, 1)
			time.Sleep(time.Second)
		}
		if n := a.Stats().Flushes - before; n < 8 || n > 40 {
			t.Errorf("%d tries in ten minutes", n)
		}
		r.mustStop()
		r.drained()
	})
}

// A destination that fails again while its lane recovers blocks it at once.
func TestARecoveringLaneIsBlockedByOneFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		back := a.Fail(errDown)
		r, parked := parkRig(t, worker.Config{}, a, b)
		r.publish(10, 1)
		time.Sleep(15 * time.Second)
		back()
		for i := 0; parked.Waiting() > 9; i++ {
			if i > 200 {
				t.Fatal("nothing was tried")
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if l, ok := r.laneOf("ls0"); ok && (l.Park == nil || l.Park.Phase != worker.ParkRecovering) {
			t.Errorf("behind the first success the lane is shown as %+v", l)
		}
		back = a.Fail(errDown)
		r.publish(5, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.q.Acked(); n != 15 {
			t.Errorf("%d messages are acknowledged, want 15: a failure parks at once", n)
		}
		back()
		r.allArrives(parked, a, 15, 3*time.Minute)
	})
}

// A companion that fails withholds the acknowledgement, and nothing else.
func TestAFailingCompanionWithholdsTheAcknowledgement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		a.Fail(errDown)
		r, parked := parkRig(t, worker.Config{}, a, b)
		parked.FailNext(-1, errDown)
		r.publish(20, 2)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.q.Acked(); n != 10 {
			t.Fatalf("%d messages are acknowledged, want 10", n)
		}
		parked.FailNext(0, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.q.Acked(); n != 20 {
			t.Fatalf("%d messages are acknowledged, want 20", n)
		}
		r.mustStop()
		r.drained()
	})
}

// A lane at half the speed of what comes holds up its strand for a second, once: then
// it parks what its strand could not hold, and goes on at full rate.
func TestASlowLaneParksItsOverflow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		a.SetDelay(100 * time.Millisecond)
		parked := memory.NewParked("memory")
		slow := entryOf("x", a)
		slow.Batch = worker.Batch{Groups: 5} // fifty a second
		r := start(t, memory.Config{}, worker.Config{
			Parked: parked, Limits: worker.Limits{Window: 1000},
			Routes: []worker.Route{
				{Name: "a", Match: worker.Match{Logstore: "ls0"}, Flushers: []worker.Entry{slow}, Park: true},
				{Name: "b", Flushers: []worker.Entry{entryOf("x", b)}, Park: true},
			},
		})
		began := time.Now()
		for i := range 12_000 { // a hundred a second for each
			r.publish(1, 1)
			r.q.Publish(keyed("p", "ls1", encode(t, group(fmt.Sprint("b", i)))))
			time.Sleep(10 * time.Millisecond)
		}
		if got, took := len(b.Count()), time.Since(began); got < 11_700 {
			t.Errorf("the other lane got %d of 12000 within %s", got, took)
		}
		if got := len(a.Count()); got < 5500 {
			t.Errorf("the slow lane flushed %d, want nearly 6000: full rate", got)
		}
		a.SetDelay(0)
		r.allArrives(parked, a, 12_000, 2*time.Minute)
	})
}

// An entry that a reload removes with `removed: park` parks what it holds; it is served
// when the entry is back.
func TestWhatARemovedEntryHoldsIsParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		a.SetReady(false)
		r, parked := parkRig(t, worker.Config{}, a, b)
		r.publish(20, 1)
		time.Sleep(time.Second)
		route := routeOf("b", worker.Match{}, entryOf("x", b))
		route.Park = true
		parked.FailNext(-1, errDown)
		if _, err := r.w.Reload(worker.Table{Routes: []worker.Route{route}, Removed: worker.RemovedPark}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if l, ok := r.laneOf("ls0"); !ok || l.State != worker.LaneParking || !strings.Contains(l.Why, errDown.Error()) {
			t.Errorf("while nothing can be parked the lane is shown as %+v", l)
		}
		parked.FailNext(0, nil)
		time.Sleep(time.Minute)
		r.isParked(parked, 20, 20)
		time.Sleep(time.Minute) // nobody takes them meanwhile
		a.SetReady(true)
		first := routeOf("a", worker.Match{Logstore: "ls0"}, entryOf("x", a))
		first.Park = true
		if _, err := r.w.Reload(worker.Table{Routes: []worker.Route{first, route}}); err != nil {
			t.Fatal(err)
		}
		r.allArrives(parked, a, 20, time.Minute)
	})
}

// A stop while lanes are blocked and parked records are served loses nothing and ends
// in time.
func TestAStopWhileParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		back := a.Fail(errDown)
		r, parked := parkRig(t, worker.Config{}, a, b)
		r.publish(100, 2)
		time.Sleep(12 * time.Second)
		r.publish(100, 2)
		a.SetDelay(time.Second)
		back()
		time.Sleep(10 * time.Second)
		began := time.Now()
		if err := r.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(began); took > 26*time.Second {
			t.Errorf("the stop took %s", took)
		}
		if got := len(a.Count()) + parked.Waiting(); got < 100 {
			t.Errorf("%d groups arrived or are parked, want 100", got)
		}
		r.drained()
	})
}

// A route that no longer parks delivers what was parked for it, live traffic beside it.
func TestARouteThatStopsParkingIsServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		back := a.Fail(errDown)
		r, parked := parkRig(t, worker.Config{}, a, b)
		r.publish(20, 1)
		time.Sleep(15 * time.Second)
		x := entryOf("x", a)
		if _, err := r.w.Reload(worker.Table{Routes: []worker.Route{
			routeOf("a", worker.Match{Logstore: "ls0"}, x), routeOf("b", worker.Match{}, entryOf("x", b)),
		}}); err != nil {
			t.Fatal(err)
		}
		r.publish(20, 1)
		time.Sleep(time.Minute)
		r.isParked(parked, 20, 20) // it waits now
		back()
		r.allArrives(parked, a, 40, 2*time.Minute)
		if n := r.q.Acked(); n != 40 {
			t.Errorf("%d messages are acknowledged, want 40", n)
		}
	})
}
