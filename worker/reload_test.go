package worker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// as is an entry whose options have the given digest.
func as(digest string, e worker.Entry) worker.Entry {
	e.Digest = digest
	return e
}

// oneByOne is a script that objects to a second live instance of a key.
func oneByOne() *checker.Script {
	s := checker.New()
	s.OneInstance = true
	return s
}

// cleanNext is clean for a script that goes on with what another one was given
// before.
func cleanNext(t *testing.T, s *checker.Script) {
	t.Helper()
	broken := slices.DeleteFunc(s.Violations(), func(v string) bool { return strings.HasSuffix(v, "never tried before") })
	if len(broken) > 0 {
		t.Fatalf("the contract was broken: %q", broken)
	}
}

func (r *rig) reload(next worker.Table) *worker.Changes {
	r.t.Helper()
	c, err := r.w.Reload(next)
	if err != nil {
		r.t.Fatal(err)
	}
	r.balanced()
	return c
}

func (r *rig) refused(next worker.Table, says string) {
	r.t.Helper()
	if c, err := r.w.Reload(next); err == nil || !strings.Contains(err.Error(), says) {
		r.t.Fatalf("Reload = %+v, %v; want an error with %q", c, err, says)
	}
	r.balanced()
}

func routesOf(rs ...worker.Route) worker.Table { return worker.Table{Routes: rs} }

func TestReloadReplacesWhatChangedAndNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		kept, old, changed := oneByOne(), oneByOne(), oneByOne()
		a := routeOf("a", worker.Match{Logstore: "ls0"}, as("1", entryOf("x", kept)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a, routeOf("b", worker.Match{}, as("1", entryOf("x", old)))}})
		r.publish(20, 2)
		r.acked(20)
		got := r.reload(routesOf(a, routeOf("b", worker.Match{}, as("2", entryOf("x", changed)), as("1", entryOf("y", kept)))))
		want := &worker.Changes{Added: []string{"b/y"}, Changed: []string{"b/x"}, Unchanged: []string{"a/x"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		synctest.Wait()
		if st := old.Stats(); st.Stops != 1 || st.Calm != 1 || st.Urgent != 0 {
			t.Errorf("the old instance: %+v; want SetUrgent(false) and Stop at once, although it was idle", st)
		}
		r.publish(20, 2)
		r.acked(40)
		if st := kept.Stats(); st.Inits != 2 || st.Stops != 0 || st.Calm != 0 {
			t.Errorf("the unchanged entry noticed: %+v", st)
		}
		if n := changed.Stats().Groups; n != 10 {
			t.Errorf("the new version got %d groups, want 10", n)
		}
		r.mustStop()
		for _, s := range []*checker.Script{kept, old, changed} {
			clean(t, s)
		}
	})
}

func TestReloadComparesEngineKeysToo(t *testing.T) {
	t.Parallel()
	s := checker.New()
	e := as("1", entryOf("x", s))
	w, err := worker.New(worker.Config{Routes: []worker.Route{routeOf("a", worker.Match{}, e)}})
	if err != nil {
		t.Fatal(err)
	}
	reload := func(e worker.Entry) []string {
		t.Helper()
		c, err := w.Reload(routesOf(routeOf("a", worker.Match{}, e)))
		if err != nil {
			t.Fatal(err)
		}
		return c.Changed
	}
	if got := reload(e); got != nil {
		t.Errorf("nothing was changed, and %q are", got)
	}
	for name, change := range map[string]func(*worker.Entry){
		"digest":        func(e *worker.Entry) { e.Digest = "2" },
		"no digest":     func(e *worker.Entry) { e.Digest = "" },
		"kind":          func(e *worker.Entry) { e.Kind.Name = "other" },
		"batch":         func(e *worker.Entry) { e.Batch.Groups = 7 },
		"first retry":   func(e *worker.Entry) { e.RetryInitial = time.Minute },
		"last retry":    func(e *worker.Entry) { e.RetryMax = time.Minute },
		"flush timeout": func(e *worker.Entry) { e.FlushTimeout = time.Minute },
	} {
		other := e
		change(&other)
		if got := reload(other); !slices.Equal(got, []string{"a/x"}) {
			t.Errorf("%s: changed are %q", name, got)
		}
		reload(e)
	}
}

// What waits is tried at once with the new options, whatever it waited for.
func TestACorrectedPasswordFreesABlockedLane(t *testing.T) {
	for name, denied := range map[string]func(*checker.Script){
		"Flush": func(s *checker.Script) { s.Fail(flushers.Misconfigured(errors.New("401"))) },
		"Init":  func(s *checker.Script) { s.FailInit(-1, flushers.Misconfigured(errors.New("401"))) },
		"retry": func(s *checker.Script) { s.Fail(flushers.RetryAfter(errors.New("429"), time.Hour)) },
		"ready": func(s *checker.Script) { s.SetReady(false) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				wrong, right := oneByOne(), oneByOne()
				denied(wrong)
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("a", worker.Match{}, as("1", entryOf("x", wrong)))}})
				r.publish(30, 3)
				time.Sleep(20 * time.Second)
				if r.q.Acked() != 0 {
					t.Fatal("the lane is not blocked")
				}
				began := time.Now()
				r.reload(routesOf(routeOf("a", worker.Match{}, as("2", entryOf("x", right)))))
				r.acked(30)
				if took := time.Since(began); took > 200*time.Millisecond {
					t.Errorf("it took %s", took)
				}
				r.mustStop()
				r.drained()
				clean(t, wrong)
				cleanNext(t, right)
			})
		})
	}
}

func TestReloadWaitsForTheFlushThatRuns(t *testing.T) {
	for _, concurrent := range []int{1, 3} {
		t.Run(fmt.Sprint("concurrent=", concurrent), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := oneByOne()
				s.Concurrent = concurrent
				s.SetDelay(8 * time.Second)
				e := entryOf("x", s)
				e.Batch.Groups = 1
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("a", worker.Match{}, as("1", e))}})
				r.publish(6, 1)
				time.Sleep(time.Second)
				r.reload(routesOf(routeOf("a", worker.Match{}, as("2", e))))
				time.Sleep(6 * time.Second)
				if st := s.Stats(); st.Stops != 0 || st.Inits != 1 || st.Flushes != concurrent {
					t.Errorf("while its calls run: %+v", st)
				}
				r.acked(6)
				if st := s.Stats(); st.Stops != 1 || st.Inits != 2 || st.Failed != 0 {
					t.Errorf("afterwards: %+v", st)
				}
				r.mustStop()
				clean(t, s)
			})
		})
	}
}

// hangs is a reload in the middle of a call that never returns: the call is
// abandoned at its limit, then the new version has its turn.
func TestReloadDuringACallThatHangs(t *testing.T) {
	for name, tc := range map[string]struct {
		hang func(*checker.Script) (release func())
		from time.Duration // no Init of the new version before
	}{
		"Flush": {func(s *checker.Script) func() { return s.Hang() }, 20 * time.Second},
		"Init":  {func(s *checker.Script) func() { return s.HangInit() }, 29 * time.Second},
		"Stop": {func(s *checker.Script) func() {
			open := make(chan struct{})
			s.OnStop(func(protocol.Key) error { <-open; return nil })
			s.Fail(errDown)
			return func() { close(open) }
		}, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				old, new := oneByOne(), oneByOne()
				release := tc.hang(old)
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("a", worker.Match{}, as("1", entryOf("x", old)))}})
				r.publish(3, 1)
				synctest.Wait()
				began := time.Now()
				var begun time.Duration
				new.OnInit(1, func(flushers.Context) error { begun = time.Since(began); return nil })
				r.reload(routesOf(routeOf("a", worker.Match{}, as("2", entryOf("x", new)))))
				r.acked(3)
				if begun < tc.from || begun > tc.from+4*time.Second {
					t.Errorf("the new instance began after %s, want about %s", begun, tc.from)
				}
				release()
				r.mustStop()
				r.drained()
				cleanNext(t, new)
			})
		})
	}
}

func TestARemovedEntryThatHoldsPartsIsNotRemovedByAccident(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, rest := oneByOne(), oneByOne()
		s.Fail(errDown)
		a, b := routeOf("a", worker.Match{Logstore: "ls0"}, as("1", entryOf("x", s))), routeOf("b", worker.Match{}, as("1", entryOf("x", rest)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a, b}})
		r.publish(20, 2)
		r.acked(10)
		r.refused(routesOf(b), "a/x holds 10 parts")
		r.publish(2, 2)
		r.acked(11)
		if n := rest.Stats().Groups; n != 11 {
			t.Errorf("after the refusal the other route has %d groups, want 11", n)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		clean(t, s)
	})
}

func TestRemovedEntriesDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, rest := oneByOne(), oneByOne()
		mend := s.Fail(errDown)
		a, b := routeOf("a", worker.Match{Logstore: "ls0"}, as("1", entryOf("x", s))), routeOf("b", worker.Match{}, as("1", entryOf("x", rest)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a, b}})
		r.publish(20, 2)
		r.acked(10)
		next := routesOf(b)
		next.Removed = worker.RemovedDrain
		if c := r.reload(next); !slices.Equal(c.Removed, []string{"a/x"}) {
			t.Errorf("removed are %q", c.Removed)
		}
		time.Sleep(time.Minute)
		if st := r.w.Status(); len(st.Flushers) != 2 || st.Flushers[1].Leaving != "drain" || st.Flushers[1].Counts.InFlight != 10 {
			t.Errorf("while it drains: %+v", st.Flushers)
		}
		r.publish(20, 2) // nothing of it goes there
		r.acked(30)
		mend()
		r.acked(40)
		if got, other := s.Stats().Groups, rest.Stats().Groups; got != 10 || other != 30 {
			t.Errorf("the removed entry got %d, the other %d groups; want 10 and 30", got, other)
		}
		time.Sleep(3 * time.Second)
		st := r.w.Status()
		if len(st.Flushers) != 1 || st.Sources[0].Counts.Flushed != 40 || st.Sources[0].Counts.Received != 40 {
			t.Errorf("when it has gone: %+v, %+v", st.Flushers, st.Sources[0].Counts)
		}
		if st := s.Stats(); st.Stops != 1 || st.Urgent != 1 {
			t.Errorf("its instance was not told and stopped: %+v", st)
		}
		r.mustStop()
		clean(t, s)
		clean(t, rest)
	})
}

func TestRemovedEntriesBecomeDeadLetters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, rest := oneByOne(), oneByOne()
		release := s.Hang(checker.Logstore("ls0"))
		s.Fail(errDown)
		a, b := routeOf("a", worker.Match{Project: "p"}, as("1", entryOf("x", s)), as("1", entryOf("y", rest))), routeOf("b", worker.Match{}, as("1", entryOf("x", rest)))
		cfg := worker.Config{Routes: []worker.Route{a, b}}
		cfg.DeadLetter.StopAfter = 3 // no guard stops what was asked for
		r := start(t, memory.Config{}, cfg)
		r.publish(20, 2)
		time.Sleep(time.Second)
		next := routesOf(routeOf("a", worker.Match{Project: "p"}, as("1", entryOf("y", rest))), b)
		next.Removed = worker.RemovedDeadLetter
		r.reload(next)
		time.Sleep(time.Minute)
		if n := r.q.Acked(); n < 10 {
			t.Errorf("%d messages are acknowledged, want those of the lane that failed", n)
		}
		r.acked(20) // the one inside a Flush too, when that is abandoned
		release()
		reasons := r.w.Status().Sources[0].Counts.DeadLettered
		if len(reasons) != 1 || reasons[worker.ReasonUnknownTarget] == 0 {
			t.Errorf("dead letters: %v", reasons)
		}
		if n := len(r.letters.Messages()); int64(n) != reasons[worker.ReasonUnknownTarget] {
			t.Errorf("%d letters were put, %v are counted", n, reasons)
		}
		time.Sleep(time.Minute)
		if fs := r.w.Status().Flushers; len(fs) != 2 {
			t.Errorf("the entry has not gone: %+v", fs)
		}
		r.mustStop()
		clean(t, rest)
	})
}

func TestDeadLettersOfARemovalNeedAQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		a := routeOf("a", worker.Match{}, as("1", entryOf("x", s)))
		cfg := worker.Config{Routes: []worker.Route{a}}
		cfg.DeadLetter.Sink = noLetters
		r := start(t, memory.Config{}, cfg)
		next := routesOf(a)
		next.Removed = worker.RemovedDeadLetter
		r.refused(next, "dead_letter is none")
		r.refused(worker.Table{}, "no routes")
		r.refused(routesOf(a, a), "unique")
		r.mustStop()
	})
}

// An entry that comes back while it drains is the same entry: what it holds goes to
// the new instance, and what it counted stays counted.
func TestAnEntryComesBackWhileItDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		old, new, rest := oneByOne(), oneByOne(), oneByOne()
		old.Fail(errDown)
		a, b := routeOf("a", worker.Match{Logstore: "ls0"}, as("1", entryOf("x", old))), routeOf("b", worker.Match{}, as("1", entryOf("x", rest)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a, b}})
		r.publish(20, 2)
		r.acked(10)
		next := routesOf(b)
		next.Removed = worker.RemovedDrain
		r.reload(next)
		time.Sleep(time.Minute)
		c := r.reload(routesOf(routeOf("a", worker.Match{Logstore: "ls0"}, as("1", entryOf("x", new))), b))
		if !slices.Equal(c.Added, []string{"a/x"}) || len(c.Removed) > 0 {
			t.Errorf("changes: %+v", c)
		}
		r.publish(20, 2)
		r.acked(40)
		if n := new.Stats().Groups; n != 20 {
			t.Errorf("the entry that came back got %d groups, want the 10 it held and 10", n)
		}
		for _, f := range r.w.Status().Flushers {
			if f.Leaving != "" || f.Counts.Received != 20 {
				t.Errorf("%s/%s: %+v", f.Route, f.Flusher, f)
			}
		}
		r.mustStop()
		clean(t, old)
		cleanNext(t, new)
	})
}

func TestOtherMatchesApplyToWhatComesAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := oneByOne(), oneByOne()
		ea, eb := as("1", entryOf("x", a)), as("1", entryOf("x", b))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{
			routeOf("a", worker.Match{Logstore: "ls0"}, ea), routeOf("b", worker.Match{}, eb),
		}})
		r.publish(20, 2)
		r.acked(20)
		c := r.reload(routesOf(routeOf("a", worker.Match{Logstore: "ls*"}, ea), routeOf("b", worker.Match{}, eb)))
		if want := (&worker.Changes{Unchanged: []string{"a/x", "b/x"}, Rerouted: []string{"a"}}); !cmp.Equal(want, c) {
			t.Errorf("changes: %+v", c)
		}
		r.publish(20, 2)
		r.acked(40)
		c = r.reload(routesOf(routeOf("b", worker.Match{}, eb), routeOf("a", worker.Match{Logstore: "ls*"}, ea)))
		if !slices.Equal(c.Rerouted, []string{"b", "a"}) {
			t.Errorf("rerouted are %q", c.Rerouted)
		}
		r.publish(20, 2)
		r.acked(60)
		if x, y := a.Stats().Groups, b.Stats().Groups; x != 30 || y != 30 {
			t.Errorf("a got %d, b %d; want 30 each", x, y)
		}
		r.mustStop()
	})
}

func TestReloadIsRefusedWhileStopping(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetDelay(5 * time.Second)
		a := routeOf("a", worker.Match{}, as("1", entryOf("x", s)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a}})
		r.publish(4, 4)
		time.Sleep(time.Second)
		r.reload(routesOf(routeOf("a", worker.Match{}, as("2", entryOf("x", s))))) // instances have still to be replaced
		r.end()
		synctest.Wait()
		if _, err := r.w.Reload(routesOf(a)); !errors.Is(err, worker.ErrStopping) {
			t.Errorf("Reload while stopping: %v", err)
		}
		r.acked(4)
		r.mustStop()
		if _, err := r.w.Reload(routesOf(a)); !errors.Is(err, worker.ErrStopping) {
			t.Errorf("Reload after the stop: %v", err)
		}
		clean(t, s)
	})
}

// Reloads from everywhere at once follow each other, and the last one counts.
func TestReloadsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := oneByOne()
		a := func(digest string) worker.Table {
			return routesOf(routeOf("a", worker.Match{}, as(digest, entryOf("x", s))))
		}
		r := start(t, memory.Config{}, worker.Config{Routes: a("0").Routes})
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				for j := range 10 {
					r.publish(5, 3)
					if _, err := r.w.Reload(a(fmt.Sprint(i, j))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		r.acked(1000)
		r.mustStop()
		r.drained()
		clean(t, s)
		if st := s.Stats(); st.Groups != 1000 || st.Stops != st.Live {
			t.Errorf("%+v; want 1000 groups, and each instance stopped", st)
		}
	})
}

func TestReloadTakesOverDrainAndGuard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(flushers.Permanent(errors.New("no")))
		a := routeOf("a", worker.Match{}, as("1", entryOf("x", s)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a}})
		next := routesOf(a)
		next.Drain, next.StopAfter = 2*time.Second, 4
		r.reload(next)
		r.publish(10, 1)
		time.Sleep(time.Second)
		if st := r.w.Status(); len(st.Stopped) == 0 || st.Stopped[0].Count != 4 {
			t.Errorf("stopped are %+v, want the new limit of 4", st.Stopped)
		}
		began := time.Now()
		r.mustStop()
		if took := time.Since(began); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("the stop took %s, want the new drain", took)
		}
	})
}

// An entry that holds nothing goes without a word in the file; its idle instances
// are told that this is the end.
func TestAnEntryThatHoldsNothingGoesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, rest := oneByOne(), oneByOne()
		a, b := routeOf("a", worker.Match{Logstore: "ls0"}, as("1", entryOf("x", s))), routeOf("b", worker.Match{}, as("1", entryOf("x", rest)))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{a, b}})
		r.publish(20, 2)
		r.acked(20)
		r.reload(routesOf(b))
		synctest.Wait()
		if st := s.Stats(); st.Stops != 1 || st.Urgent != 1 || st.Calm != 0 {
			t.Errorf("its instance: %+v; want SetUrgent(true) and Stop at once", st)
		}
		time.Sleep(3 * time.Second)
		if st := r.w.Status(); len(st.Flushers) != 1 || st.Sources[0].Counts.Flushed != 20 {
			t.Errorf("afterwards: %+v, %+v", st.Flushers, st.Sources[0].Counts)
		}
		r.mustStop()
		clean(t, s)
	})
}

// An idle lane whose old instance has still to stop is not forgotten: the next lane
// of that key would not know that it has to wait.
func TestAnIdleLaneOutlivesTheStopOfItsOldInstance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const stop = 4 * time.Second
		s := oneByOne()
		s.OnStop(func(protocol.Key) error { time.Sleep(stop); return nil })
		a := func(digest string) worker.Route { return routeOf("a", worker.Match{}, as(digest, entryOf("x", s))) }
		cfg := worker.Config{Routes: []worker.Route{a("1")}}
		cfg.Limits.LaneIdle = time.Second
		r := start(t, memory.Config{}, cfg)
		r.publish(1, 1)
		r.acked(1)
		time.Sleep(500 * time.Millisecond)
		reloaded := time.Now()
		r.reload(routesOf(a("2")))
		time.Sleep(3 * time.Second)
		var began time.Duration
		s.OnInit(1, func(flushers.Context) error { began = time.Since(reloaded); return nil })
		r.publish(1, 1)
		r.acked(2)
		if began < stop {
			t.Errorf("the next instance began %s after the reload, and the old one stopped after %s", began, stop)
		}
		r.mustStop()
		clean(t, s)
	})
}
