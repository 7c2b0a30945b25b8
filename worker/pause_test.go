package worker_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

func (r *rig) pause(target worker.Target) {
	r.t.Helper()
	if err := r.w.Pause(target); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) unpause(target worker.Target) {
	r.t.Helper()
	if was, err := r.w.Unpause(target); err != nil || !was {
		r.t.Fatalf("Unpause(%+v) = %t, %v", target, was, err)
	}
}

// Whatever is paused holds its parts; the others go on, and nothing is lost.
func TestPauseHoldsWhatItNames(t *testing.T) {
	for name, tc := range map[string]struct {
		target  worker.Target
		through int64 // messages of 20 that pass it by
		command string
	}{
		"route":   {worker.Target{Route: "a"}, 10, "flushline resume --route a"},
		"flusher": {worker.Target{Route: "a", Flusher: "x"}, 10, "flushline resume --route a --flusher x"},
		"lane": {
			worker.Target{Route: "b", Flusher: "x", Project: "p", Logstore: "ls3", Config: "c"},
			15,
			"flushline resume --route b --flusher x --project p --logstore ls3 --config-name c",
		},
		"strand": {worker.Target{Strand: "memory[1]"}, 10, `flushline resume --strand "memory[1]"`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				r := start(t, memory.Config{Strands: 2}, worker.Config{Routes: []worker.Route{
					routeOf("a", worker.Match{Logstore: "ls0"}, entryOf("x", s), entryOf("y", s)),
					routeOf("a2", worker.Match{Logstore: "ls1"}, entryOf("x", s)),
					routeOf("b", worker.Match{}, entryOf("x", s)),
				}})
				synctest.Wait()
				r.pause(tc.target)
				r.pause(tc.target) // again changes nothing
				began := time.Now()
				for i := range 20 {
					store := []string{"ls0", "ls1", "ls0", "ls3"}[i%4]
					m := keyed("p", store, encode(t, group(store)))
					m.Partition = int32(i % 2)
					r.q.Publish(m)
				}
				time.Sleep(time.Hour)
				if n := r.q.Acked(); n != tc.through {
					t.Errorf("%d messages were acknowledged, want %d", n, tc.through)
				}
				st := r.w.Status()
				scope, _, _ := strings.Cut(name, " ")
				want := []worker.PauseStatus{{Scope: scope, Since: began, FreedBy: tc.command}}
				if diff := cmp.Diff(want, st.Paused, cmpopts.IgnoreFields(worker.PauseStatus{}, "Name")); diff != "" {
					t.Errorf("status (-want +got):\n%s", diff)
				}
				if name == "strand" {
					at := st.Strands[slices.IndexFunc(st.Strands, func(s worker.StrandStatus) bool { return s.Name == "memory[1]" })]
					if at.State != "paused" || at.Held != 0 || !strings.Contains(at.Why, tc.command) {
						t.Errorf("the strand: %+v", at)
					}
				} else if l := r.lane(worker.LanePaused); l.Parts == 0 || !strings.Contains(l.Why, tc.command) {
					t.Errorf("the lane: %+v", l)
				}
				r.unpause(tc.target)
				r.acked(20)
				if took := time.Since(began) - time.Hour; took > 100*time.Millisecond {
					t.Errorf("it went on after %s", took)
				}
				if st := r.w.Status(); st.Paused != nil {
					t.Errorf("still paused: %+v", st.Paused)
				}
				r.mustStop()
				r.drained()
				clean(t, s)
			})
		})
	}
}

// A paused lane flushes nothing more and asks nothing, but what runs may end.
func TestPauseLetsARunningFlushEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetDelay(5 * time.Second)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("a", worker.Match{}, entryOf("x", s))}})
		r.publish(4, 1)
		time.Sleep(time.Second)
		r.pause(worker.Target{Route: "a"})
		r.publish(4, 1)
		r.acked(4)
		asked := s.Stats().Asked
		time.Sleep(time.Hour)
		if st := s.Stats(); st.Groups != 4 || st.Asked != asked {
			t.Errorf("while paused: %+v", st)
		}
		r.unpause(worker.Target{Route: "a"})
		r.acked(8)
		r.mustStop()
		clean(t, s)
	})
}

// A stop waits for what is paused as for what is not ready: until the drain ends.
func TestAStopGivesBackWhatIsPaused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{Strands: 2}, worker.Config{Drain: 5 * time.Second, Routes: []worker.Route{
			routeOf("a", worker.Match{Logstore: "ls0"}, entryOf("x", s)), routeOf("b", worker.Match{}, entryOf("x", s)),
		}})
		r.pause(worker.Target{Route: "a"})
		r.publish(20, 2)
		r.acked(10)
		synctest.Wait() // both strands are there
		r.pause(worker.Target{Strand: "memory[1]"})
		r.publish(4, 2)
		began := time.Now()
		r.mustStop()
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
			t.Errorf("the stop took %s", took)
		}
		if n := r.q.Pending(); n < 10 {
			t.Errorf("%d messages are in the queue, want those of the paused route", n)
		}
		r.drained()
		clean(t, s)
	})
}

func TestPauseSaysWhatThereIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("a", worker.Match{}, entryOf("x", s))}})
		synctest.Wait()
		for _, tc := range []struct {
			target worker.Target
			says   string
		}{
			{worker.Target{}, "name a route or a strand"},
			{worker.Target{Route: "b"}, `no route "b"; there are a/x`},
			{worker.Target{Route: "a", Flusher: "z"}, "no flusher a/z; there are a/x"},
			{worker.Target{Strand: "memory[7]"}, `no strand "memory[7]"; there are memory[0]`},
			{worker.Target{Strand: "memory[0]", Route: "a"}, "by itself"},
			{worker.Target{Route: "a", Project: "p"}, "a lane is named by"},
			{worker.Target{Flusher: "x"}, "name a route or a strand"},
		} {
			if err := r.w.Pause(tc.target); !errors.Is(err, worker.ErrTarget) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("Pause(%+v): %v; want %q", tc.target, err, tc.says)
			}
		}
		if was, err := r.w.Unpause(worker.Target{Route: "a"}); was || err != nil {
			t.Errorf("Unpause of what is not paused: %t, %v", was, err)
		}
		r.mustStop()
	})
}

// A pause ends with what it names: an entry of the same name begins anew.
func TestAPauseGoesWithItsEntry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		a, b := routeOf("a", worker.Match{Logstore: "ls0"}, as("1", entryOf("x", s))), routeOf("b", worker.Match{}, as("1", entryOf("x", s)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a, b}})
		r.pause(worker.Target{Route: "a", Flusher: "x"})
		r.publish(6, 2)
		r.acked(3)
		next := routesOf(b)
		next.Removed = worker.RemovedDrain
		r.reload(next)
		time.Sleep(time.Minute)
		if l := r.lane(worker.LanePaused); l.Parts != 3 {
			t.Errorf("while it drains: %+v", l)
		}
		r.unpause(worker.Target{Route: "a", Flusher: "x"})
		r.acked(6)
		r.pause(worker.Target{Route: "a"})
		time.Sleep(3 * time.Second)
		if st := r.w.Status(); len(st.Flushers) != 1 || st.Paused != nil {
			t.Errorf("afterwards: %+v, paused %+v", st.Flushers, st.Paused)
		}
		r.reload(routesOf(a, b))
		r.publish(6, 2)
		r.acked(12)
		r.mustStop()
		clean(t, s)
	})
}

// A strand that is paused while its window is full says that it is paused: else nobody
// would know which command it waits for once the window has room.
func TestAFullStrandThatIsPausedSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		mend := s.Fail(errDown)
		r := start(t, memory.Config{}, worker.Config{Limits: worker.Limits{Window: 4}, Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("x", s))}})
		r.publish(10, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		state := func() string { return r.w.Status().Strands[0].State }
		if got := state(); got != "window_full" {
			t.Fatalf("the strand is %s", got)
		}
		target := worker.Target{Strand: "memory[0]"}
		r.pause(target)
		synctest.Wait()
		if got := state(); got != "paused" {
			t.Errorf("the paused strand is %s", got)
		}
		mend()
		r.unpause(target)
		r.acked(10)
		r.mustStop()
	})
}
