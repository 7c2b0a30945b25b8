package worker_test

import (
	"context"
	"fmt"
	"math"
	"slices"
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

// has chooses calls that contain one of the ids.
func has(ids ...string) checker.When {
	return func(c *checker.Call) bool {
		return slices.ContainsFunc(c.Groups, func(g *protocol.LogGroup) bool { return slices.Contains(ids, idOf(g)) })
	}
}

// trickle publishes one group of a lane each 100 ms for a while.
func (r *rig) trickle(logstore string, d time.Duration) {
	r.t.Helper()
	for i := range int(d / (100 * time.Millisecond)) {
		r.q.Publish(keyed("p", logstore, encode(r.t, group(fmt.Sprint("live ", i)))))
		time.Sleep(100 * time.Millisecond)
	}
}

// poisoned publishes n groups that go out as one batch.
func (r *rig) poisoned(s *checker.Script, n int) {
	r.t.Helper()
	s.SetReady(false)
	r.publish(n, 1)
	synctest.Wait()
	s.SetReady(true)
	time.Sleep(500 * time.Millisecond) // until it is asked again
	synctest.Wait()
}

// reasons are the ids of dead letters, each with its reason.
func (r *rig) reasons() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for _, m := range r.letters.Messages() {
		var g protocol.LogGroup
		if err := g.Unmarshal(m.Value); err != nil {
			r.t.Fatal(err)
		}
		if _, twice := all[idOf(&g)]; twice {
			r.t.Errorf("%s is a dead letter twice", idOf(&g))
		}
		all[idOf(&g)], _ = m.Header(queue.HeaderReason)
	}
	return all
}

// callsWith are the calls that had one of the first n groups, by id.
func callsWith(s *checker.Script, n int) (calls []checker.Call) {
	for _, c := range s.Calls() {
		if slices.ContainsFunc(c.Groups, func(g *protocol.LogGroup) bool {
			var id int
			_, err := fmt.Sscan(idOf(g), &id)
			return err == nil && id < n
		}) {
			calls = append(calls, c)
		}
	}
	return calls
}

// halving counts the calls from the first one with a piece of a batch of n on.
func halving(calls []checker.Call, n int) (count, before int) {
	for i, c := range calls {
		if c.Len() < n {
			return len(calls) - i, i
		}
	}
	return 0, len(calls)
}

// A batch that fails again and again while others come through is halved until the one
// group to blame is alone; it alone becomes a dead letter, after at most 2*log2(n)+1
// calls, whichever of how many it is.
func TestPoisonIsFoundByHalves(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 8, 16} {
		for bad := range n {
			t.Run(fmt.Sprintf("%d of %d", bad, n), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := checker.New()
					s.Fail(errDown, has(fmt.Sprint(bad)))
					r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
					r.poisoned(s, n)
					r.trickle("ls0", 20*time.Second)
					r.acked(int64(n) + 200)
					r.mustStop()
					r.drained()
					clean(t, s)
					if got := r.reasons(); len(got) != 1 || got[fmt.Sprint(bad)] != worker.ReasonPoison {
						t.Fatalf("the dead letters are %v", got)
					}
					if got := s.Stats().Groups; got != n-1+200 {
						t.Errorf("%d groups are stored, want %d", got, n-1+200)
					}
					calls, before := halving(callsWith(s, n), n)
					if most := int(2*math.Log2(float64(n)) + 1); n > 1 && calls > most {
						t.Errorf("%d calls to find one of %d, want at most %d", calls, n, most)
					}
					if before < 4 {
						t.Errorf("the batch was tried %d times before it was halved, want 4", before)
					}
				})
			})
		}
	}
}

// Each of several bad groups is found, and the good ones between them arrive.
func TestSeveralBadGroupsAreAllFound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n, k = 64, 4
		s := checker.New()
		bad := []string{"3", "4", "30", "63"}
		s.Fail(errDown, has(bad...))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.poisoned(s, n)
		r.trickle("ls0", 60*time.Second)
		r.acked(n + 600)
		r.mustStop()
		r.drained()
		got := r.reasons()
		for _, id := range bad {
			if got[id] != worker.ReasonPoison {
				t.Errorf("%s is %q", id, got[id])
			}
		}
		if len(got) != k || s.Stats().Groups != n-k+600 {
			t.Errorf("%d letters, %d groups stored", len(got), s.Stats().Groups)
		}
		if calls, _ := halving(callsWith(s, n), n); calls > k*(2*6+1) {
			t.Errorf("%d calls to find %d of %d", calls, k, n)
		}
	})
}

// Nothing is poison because a destination is down, slow, busy or misconfigured, whatever
// succeeds between.
func TestNoOtherFailureIsPoison(t *testing.T) {
	for name, fail := range map[string]func(*checker.Script, checker.When) func(){
		"it is down": func(s *checker.Script, _ checker.When) func() { return s.Fail(errDown) },
		"a timeout": func(s *checker.Script, w checker.When) func() {
			return s.Fail(fmt.Errorf("sending: %w", context.DeadlineExceeded), w)
		},
		"it asks for patience": func(s *checker.Script, w checker.When) func() {
			return s.Fail(flushers.RetryAfter(errDown, time.Second), w)
		},
		"it is misconfigured": func(s *checker.Script, w checker.When) func() { return s.Fail(flushers.Misconfigured(errDown), w) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				undo := fail(s, has("5"))
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.poisoned(s, 8)
				r.trickle("ls0", 10*time.Minute)
				for _, c := range callsWith(s, 8) {
					if c.Len() != 8 {
						t.Fatalf("a call had %d groups of a batch of 8", c.Len())
					}
				}
				undo()
				r.acked(6008)
				r.mustStop()
				if got := r.reasons(); len(got) != 0 {
					t.Errorf("dead letters: %v", got)
				}
			})
		})
	}
}

// A destination that comes and goes is no reason to halve: what failed while it was away
// succeeds when it is back, and goes on being one batch.
func TestADestinationThatFlapsIsNotHalvedInto(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		var down atomic.Bool
		down.Store(true)
		s.Do(-1, func(context.Context, *checker.Call) error {
			if down.Load() {
				return errDown
			}
			return nil
		})
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.poisoned(s, 8)
		go func() {
			for range 20 {
				time.Sleep(37 * time.Second)
				down.Store(false)
				time.Sleep(41 * time.Second)
				down.Store(true)
			}
			down.Store(false)
		}()
		r.trickle("ls0", 30*time.Minute)
		r.acked(18008)
		r.mustStop()
		if got := r.reasons(); len(got) != 0 {
			t.Errorf("dead letters: %v", got)
		}
		for _, c := range callsWith(s, 8) {
			if c.Len() != 8 {
				t.Fatalf("a call had %d groups of a batch of 8", c.Len())
			}
		}
	})
}

// Where every batch holds poison, one group at a time shows that the destination is up.
func TestALaneWhoseEveryBatchIsPoisonedGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(errDown, func(c *checker.Call) bool {
			return slices.ContainsFunc(c.Groups, func(g *protocol.LogGroup) bool {
				var id int
				_, err := fmt.Sscan(idOf(g), &id)
				return err == nil && id%10 == 0
			})
		})
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.poisoned(s, 1000)
		r.trickle("ls0", 5*time.Minute)
		r.acked(4000)
		r.mustStop()
		r.drained()
		if n := len(r.reasons()); n != 100 || s.Stats().Groups != 3900 {
			t.Errorf("%d letters and %d groups stored, want 100 and 3900", n, s.Stats().Groups)
		}
	})
}
