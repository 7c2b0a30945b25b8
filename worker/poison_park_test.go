package worker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// parkedPoison is a worker whose one route parks.
func parkedPoison(t *testing.T, s *checker.Script) (*rig, *memory.Parked) {
	t.Helper()
	parked := memory.NewParked("memory")
	route := routeOf("all", worker.Match{}, entryOf("out", s))
	route.Park = true
	return start(t, memory.Config{}, worker.Config{Parked: parked, Routes: []worker.Route{route}}), parked
}

// arrives waits until nothing is parked.
func (r *rig) arrives(parked *memory.Parked, most time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(most); parked.Waiting() > 0; time.Sleep(time.Second) {
		if time.Now().After(end) {
			r.t.Fatalf("%d records are parked; lanes %+v", parked.Waiting(), r.w.Status().Lanes)
		}
	}
}

// Poison that is parked with good records by an outage becomes a dead letter when the
// destination is back, and keeps none of them parked: neither with live traffic nor where
// the parked records are all that the lane has.
func TestParkedPoisonBecomesADeadLetter(t *testing.T) {
	for _, every := range []time.Duration{0, 100 * time.Millisecond, 20 * time.Second} {
		t.Run(fmt.Sprint("live each ", every), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				s.Fail(errDown, has("0"))
				back := s.Fail(errDown)
				r, parked := parkedPoison(t, s)
				r.publish(20, 1)
				time.Sleep(30 * time.Second)
				if n := parked.Waiting(); n != 20 {
					t.Fatalf("%d records are parked, want 20", n)
				}
				back()
				if every == 0 {
					r.trickle("other", 10*time.Minute) // the poison is tried first, and makes way
					time.Sleep(5 * time.Minute)
					if n := parked.Waiting(); n > 1 {
						t.Errorf("%d records are parked behind the poison", n-1)
					}
					if got := s.Stats().Groups; got < 19+6000 {
						t.Errorf("%d groups are stored", got)
					}
				} else {
					for i := range int(10 * time.Minute / every) {
						r.q.Publish(keyed("p", "ls0", encode(t, group(fmt.Sprint("live ", i)))))
						time.Sleep(every)
					}
					r.arrives(parked, 2*time.Minute)
					if got := r.reasons(); len(got) != 1 || got["0"] != worker.ReasonPoison {
						t.Errorf("the dead letters are %v", got)
					}
				}
				r.mustStop()
				r.drained()
			})
		})
	}
}

// A batch that fails while others come through does not make its lane park, and nothing
// of it is parked.
func TestPoisonDoesNotMakeALanePark(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(errDown, has("3"))
		r, parked := parkedPoison(t, s)
		r.poisoned(s, 8)
		r.trickle("ls0", time.Minute)
		synctest.Wait()
		if c := r.w.Status().Flushers[0].Counts; c.Parked != 0 || c.DeadLettered[worker.ReasonPoison] != 1 {
			t.Errorf("the parts are %+v", c)
		}
		r.arrives(parked, 0)
		r.mustStop()
	})
}

// A parked record that hangs the destination's Flush ends as a dead letter, too.
func TestParkedRecordThatHangsBecomesADeadLetter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		back := s.Fail(errDown)
		r, parked := parkedPoison(t, s)
		r.publish(4, 1)
		time.Sleep(30 * time.Second)
		release := s.Hang(has("1"))
		back()
		r.trickle("ls0", 15*time.Minute)
		r.arrives(parked, 5*time.Minute)
		if got := r.reasons(); len(got) != 1 || got["1"] != worker.ReasonHangs {
			t.Errorf("the dead letters are %v", got)
		}
		release()
		synctest.Wait()
		r.mustStop()
		r.drained()
	})
}

// While the destination is away nothing of what is parked is put anywhere again.
func TestNothingParkedMovesWhileTheDestinationIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(errDown)
		r, parked := parkedPoison(t, s)
		r.publish(40, 4)
		time.Sleep(30 * time.Second)
		before := len(parked.Messages())
		time.Sleep(2 * time.Hour)
		if got := len(parked.Messages()); got != before || before != 40 {
			t.Errorf("%d records were put, %d before", got, before)
		}
		r.mustStop()
	})
}
