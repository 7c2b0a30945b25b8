package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// A batch that is all its lane has is cut in two on the word of another lane, once; then
// the good half shows that the destination takes this lane's data.
func TestABatchThatIsAllALaneHasIsCutOnTheWordOfOthers(t *testing.T) {
	for _, bad := range []string{"0", "1", "3", "7"} {
		t.Run(bad, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				s.Fail(errDown, has(bad))
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.poisoned(s, 8)
				r.trickle("other", time.Minute)
				r.acked(608)
				r.mustStop()
				if got := r.reasons(); len(got) != 1 || got[bad] != worker.ReasonPoison {
					t.Errorf("the dead letters are %v", got)
				}
			})
		})
	}
}

// What other lanes deliver dooms nothing of a lane that delivers nothing: its table may
// be what is away. Its batch is in two pieces at most.
func TestOtherLanesDoomNothing(t *testing.T) {
	for _, n := range []int{1, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				undo := s.Fail(errDown, checker.Logstore("ls0"))
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.poisoned(s, n)
				r.trickle("other", 20*time.Minute)
				for _, c := range callsWith(s, 8) {
					if c.Len() < n/2 {
						t.Fatalf("a call had %d groups of a batch of %d", c.Len(), n)
					}
				}
				undo()
				r.acked(int64(n) + 12000)
				r.mustStop()
				if got := r.reasons(); len(got) != 0 {
					t.Errorf("dead letters: %v", got)
				}
			})
		})
	}
}

// A panic on one batch while others come through is a failure like any other.
func TestAPanicOnOneGroupIsPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.PanicNext(-1, "index out of range", has("3"))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.poisoned(s, 8)
		r.trickle("ls0", 20*time.Second)
		r.acked(208)
		r.mustStop()
		if got := r.reasons(); len(got) != 1 || got["3"] != worker.ReasonPoison {
			t.Errorf("the dead letters are %v", got)
		}
	})
}

// `order: strict` has no way around poison: it stops there, and nothing is halved.
func TestStrictOrderStopsAtPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Fail(errDown, has("3"))
		route := routeOf("all", worker.Match{}, entryOf("out", s))
		route.Strict = true
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{route}})
		r.publish(1, 1)
		r.acked(1)
		r.poisoned(s, 8)
		r.trickle("ls0", 10*time.Minute)
		if r.q.Acked() != 1 || len(r.reasons()) != 0 {
			t.Errorf("%d acknowledged, dead letters %v", r.q.Acked(), r.reasons())
		}
		undo()
		r.acked(6009)
		r.mustStop()
	})
}

// A destination that fails a third of all calls dooms nothing that it may take: the more
// first tries fail, the more failures it takes.
func TestAFlakyDestinationDoomsNothing(t *testing.T) {
	for _, each := range []int{1, 20} {
		t.Run(fmt.Sprint(each, " at a time"), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				var calls atomic.Uint64
				s.Do(-1, func(context.Context, *checker.Call) error {
					n := calls.Add(0x9e3779b97f4a7c15) // an even spread without a pattern
					n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
					if (n^n>>27)*0x94d049bb133111eb>>32%3 == 0 {
						return errDown
					}
					return nil
				})
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				for range 3000 {
					r.publish(each, 1)
					time.Sleep(200 * time.Millisecond)
				}
				r.acked(int64(3000 * each))
				r.mustStop()
				if got := len(r.letters.Messages()); got != 0 {
					t.Errorf("%d of %d groups are dead letters", got, 3000*each)
				}
			})
		})
	}
}

// Poison counts for `stop_after` as other dead letters do.
func TestPoisonCountsForTheGuard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(errDown, has("0"))
		r := start(t, memory.Config{}, worker.Config{
			DeadLetter: worker.DeadLetter{StopAfter: 1},
			Routes:     []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))},
		})
		r.poisoned(s, 1)
		for len(r.letters.Messages()) == 0 {
			r.trickle("ls0", 100*time.Millisecond)
			synctest.Wait()
		}
		r.q.Publish(keyed("p", "ls0", []byte{0xff})) // the second in a row
		synctest.Wait()
		if st := r.w.Status().Stopped; len(st) != 1 || st[0].Scope != "source" {
			t.Errorf("stopped: %+v", st)
		}
		r.w.Resume()
		r.acked(r.q.Published())
		r.mustStop()
	})
}

// A drain goes on with the search, and gives back what it does not end.
func TestADrainGoesOnWithTheSearch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(errDown, has("3"))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.poisoned(s, 8)
		r.trickle("ls0", 1500*time.Millisecond)
		for i := range 400 { // for the drain
			r.q.Publish(keyed("p", "ls0", encode(t, group(fmt.Sprint("last ", i)))))
		}
		synctest.Wait()
		if err := r.stop(); err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
			t.Fatal(err)
		}
		r.drained()
		ended := len(r.letters.Messages()) + len(s.Count())
		if got := int(r.q.Pending()) + ended; got < 8+15 {
			t.Errorf("%d groups are stored, dead letters or given back, of %d at least", got, 8+15)
		}
		if slices.ContainsFunc(s.Groups(), func(g *protocol.LogGroup) bool { return idOf(g) == "3" }) {
			t.Error("poison is stored")
		}
	})
}
