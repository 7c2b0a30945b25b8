package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

func TestMessagesAreFlushedThenAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(1000, 10)
		r.acked(1000)
		r.mustStop()
		r.drained()
		clean(t, s)
		seen := map[string]bool{}
		for _, g := range s.Groups() {
			seen[idOf(g)] = true
		}
		if len(seen) != 1000 || s.Stats().Groups != 1000 {
			t.Fatalf("%d ids in %d groups, want 1000 in 1000", len(seen), s.Stats().Groups)
		}
		if st := s.Stats(); st.Inits != 10 || st.Stops != 10 {
			t.Fatalf("%d instances were made and %d stopped, want one per key: 10", st.Inits, st.Stops)
		}
	})
}

func TestNothingIsAcknowledgedBeforeFlushReturned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		release := s.Hang()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(5, 1)
		time.Sleep(10 * time.Second)
		if n := r.q.Acked(); n != 0 {
			t.Fatalf("%d messages are acknowledged while Flush hangs", n)
		}
		r.balanced()
		release()
		r.acked(5)
		r.mustStop()
	})
}

func TestEachFlusherOfARouteGetsEveryGroupAndTheLastOneAcknowledges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		b.SetReady(false)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("a", a), entryOf("b", b))}})
		r.publish(20, 2)
		time.Sleep(5 * time.Second)
		if a.Stats().Groups != 20 {
			t.Fatalf("a has %d groups while b is not ready, want 20", a.Stats().Groups)
		}
		if r.q.Acked() != 0 {
			t.Fatal("messages are acknowledged though b has not flushed them")
		}
		b.SetReady(true)
		r.acked(20)
		r.mustStop()
		r.drained()
		clean(t, a)
		clean(t, b)
		if a.Stats().Groups != 20 || b.Stats().Groups != 20 {
			t.Fatalf("a has %d groups and b %d, want 20 each", a.Stats().Groups, b.Stats().Groups)
		}
	})
}

func TestTheFirstMatchingRouteWins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{
			routeOf("web", worker.Match{Project: "p*", Logstore: "ls1"}, entryOf("a", a)),
			routeOf("rest", worker.Match{}, entryOf("b", b)),
		}})
		r.publish(30, 3)
		r.acked(30)
		r.mustStop()
		if a.Stats().Groups != 10 || b.Stats().Groups != 20 {
			t.Fatalf("web got %d and rest %d, want 10 and 20", a.Stats().Groups, b.Stats().Groups)
		}
	})
}

func TestAFailingFlushIsTriedAgainWithTheIdenticalBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetReady(false)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(10, 1)
		synctest.Wait()
		s.FailNext(3, errDown)
		s.SetReady(true)
		r.acked(10)
		r.mustStop()
		clean(t, s)
		calls := s.Calls()
		if len(calls) != 4 {
			t.Fatalf("%d calls of Flush, want 4", len(calls))
		}
		for i, c := range calls {
			if c.Len() != 10 || c.Attempt != i+1 {
				t.Fatalf("call %d has %d groups and says attempt %d", i, c.Len(), c.Attempt)
			}
			if i > 0 && c.Start.Sub(calls[i-1].Start) < 200*time.Millisecond {
				t.Fatalf("try %d came %v after the one before", i+1, c.Start.Sub(calls[i-1].Start))
			}
		}
	})
}

func TestRetriesNeverEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Fail(errDown)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(1, 1)
		time.Sleep(24 * time.Hour)
		if l := r.lane(worker.LaneBackoff); !strings.Contains(l.Why, "refused") || l.Attempt < 1000 {
			t.Fatalf("after a day: %+v", l)
		}
		if n := s.Stats().Flushes; n > 24*3600/10 {
			t.Fatalf("%d tries in a day are no backoff", n)
		}
		undo()
		r.acked(1)
		r.mustStop()
	})
}

func TestRetryAfterAndMisconfiguredWaitAsLongAsTheySay(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		wait time.Duration
	}{
		"RetryAfter":    {flushers.RetryAfter(errors.New("429"), 7*time.Second), 7 * time.Second},
		"Misconfigured": {flushers.Misconfigured(errors.New("401")), 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				s.FailNext(1, c.err)
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.publish(1, 1)
				r.acked(1)
				r.mustStop()
				calls := s.Calls()
				if gap := calls[1].Start.Sub(calls[0].Start); gap < c.wait || gap > c.wait+time.Second {
					t.Fatalf("the second try came after %v, want %v", gap, c.wait)
				}
				if len(r.letters.Messages()) != 0 {
					t.Fatal("a dead letter was written")
				}
			})
		})
	}
}

func TestAPermanentErrorDeadLettersOnlyThePartsToBlame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetReady(false)
		bad := func(c *checker.Call) bool {
			for _, g := range c.Groups {
				if idOf(g) == "7" {
					return true
				}
			}
			return false
		}
		s.Fail(flushers.Permanent(errors.New("mapping does not fit")), bad)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(16, 1)
		synctest.Wait()
		s.SetReady(true)
		r.acked(16)
		r.mustStop()
		r.drained()
		clean(t, s)
		ms := r.letters.Messages()
		if len(ms) != 1 || s.Stats().Groups != 15 {
			t.Fatalf("%d letters and %d groups stored, want 1 and 15", len(ms), s.Stats().Groups)
		}
		want := encode(t, group("7"))
		if string(ms[0].Value) != string(want) {
			t.Fatal("the letter's bytes are not those of the group")
		}
		for key, want := range map[string]string{
			queue.HeaderReason: "permanent", queue.HeaderError: "mapping does not fit", queue.HeaderTo: "test/all/out",
			"x-log-project": "p", "x-log-logstore": "ls0", "x-log-config": "c", queue.HeaderGroups: "0",
			"content-type": protocol.TypeLogGroup,
		} {
			if got, _ := ms[0].Header(key); got != want {
				t.Errorf("header %s is %q, want %q", key, got, want)
			}
		}
		if n := s.Stats().Flushes; n > 2*4+1+1 {
			t.Errorf("%d calls of Flush to find one in 16", n)
		}
	})
}

func TestPartialErrorsRetryOnlyWhatFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetReady(false)
		s.FailNext(1, &flushers.PartialError{Failed: map[int]error{
			2: errors.New("429"), 5: flushers.Permanent(errors.New("400")), 6: errors.New("503"),
		}})
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(8, 1)
		synctest.Wait()
		s.SetReady(true)
		r.acked(8)
		r.mustStop()
		r.drained()
		clean(t, s)
		calls := s.Calls()
		if len(calls) != 2 || calls[1].Len() != 2 || idOf(calls[1].Groups[0]) != "2" || idOf(calls[1].Groups[1]) != "6" {
			t.Fatalf("%d calls, want a second one of groups 2 and 6: %+v", len(calls), calls[1:])
		}
		if n := len(r.letters.Messages()); n != 1 {
			t.Fatalf("%d dead letters, want 1", n)
		}
		for id, n := range s.Count() {
			if n != 1 {
				t.Errorf("group %v was stored %d times", id, n)
			}
		}
	})
}

// Whatever order the groups of a partial result come in, the longest wait that one
// of them asks for holds for the rest.
func TestThePartThatAsksForTheLongestWaitSaysWhenToTryAgain(t *testing.T) {
	plain := errors.New("503")
	for name, c := range map[string]struct {
		failed map[int]error
		want   time.Duration
	}{
		"before a plain one":           {map[int]error{0: flushers.RetryAfter(plain, time.Minute), 1: plain}, time.Minute},
		"behind a plain one":           {map[int]error{0: plain, 1: flushers.RetryAfter(plain, time.Minute)}, time.Minute},
		"before a shorter one":         {map[int]error{0: flushers.RetryAfter(plain, time.Minute), 1: flushers.RetryAfter(plain, time.Second)}, time.Minute},
		"misconfigured, before others": {map[int]error{0: flushers.Misconfigured(plain), 1: plain, 2: flushers.RetryAfter(plain, time.Second)}, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				s.SetReady(false)
				s.FailNext(1, &flushers.PartialError{Failed: c.failed})
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.publish(3, 1)
				synctest.Wait()
				s.SetReady(true)
				r.acked(3)
				r.mustStop()
				calls := s.Calls()
				if len(calls) != 2 {
					t.Fatalf("%d calls", len(calls))
				}
				if got := calls[1].Start.Sub(calls[0].Start); got < c.want || got > c.want+time.Second {
					t.Errorf("it was tried again after %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestAPanicIsAnErrorOfThatCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.PanicNext(2, "nil map")
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(3, 3)
		r.acked(3)
		r.mustStop()
		if n := r.w.Status().Flushers[0].Errors["panic"]; n != 2 {
			t.Fatalf("%d panics are counted, want 2", n)
		}
	})
}

func TestAHangingFlushIsAbandonedAndItsLateNilCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		release := s.Hang(func(c *checker.Call) bool { return c.Attempt == 1 })
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(4, 1)
		r.acked(4) // by the second instance
		if n := s.Stats().Inits; n < 2 {
			t.Fatalf("%d instances, want a second one", n)
		}
		if st := r.w.Status().Flushers[0]; st.Abandoned != 1 {
			t.Fatalf("%d abandoned calls, want 1", st.Abandoned)
		}
		release()
		synctest.Wait()
		st := r.w.Status()
		if st.Flushers[0].Abandoned != 0 || st.LateFlushes == 0 {
			t.Fatalf("after the return: %+v", st)
		}
		r.mustStop()
		r.drained()
		if st := s.Stats(); st.Stops != st.Inits {
			t.Fatalf("%d instances, %d stopped", st.Inits, st.Stops)
		}
		clean(t, s)
	})
}

func TestALateNilEndsPartsThatAreStillOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		release := s.Hang(func(c *checker.Call) bool { return c.Attempt == 1 })
		undo := s.Fail(errDown, func(c *checker.Call) bool { return c.Attempt > 1 })
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(4, 1)
		time.Sleep(40 * time.Second)
		release()
		synctest.Wait()
		if n := r.q.Acked(); n != 4 {
			t.Fatalf("%d acknowledged after the late nil, want 4", n)
		}
		undo()
		r.mustStop()
		r.drained()
	})
}

func TestTooManyAbandonedCallsWedgeTheLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		release := s.Hang()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(4, 1)
		time.Sleep(10 * time.Minute)
		if n := s.Stats().Running; n > 5 {
			t.Fatalf("%d calls hang, want at most 4 abandoned and one more", n)
		}
		r.lane(worker.LaneWedged)
		release()
		r.acked(4)
		r.mustStop()
		r.drained()
	})
}

func TestInitMayFailOrHangWithoutCostingOtherLanes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		bad, good := checker.New(), checker.New()
		release := bad.HangInit()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{
			routeOf("bad", worker.Match{Logstore: "ls0"}, entryOf("bad", bad)),
			routeOf("good", worker.Match{}, entryOf("good", good)),
		}})
		r.publish(20, 2)
		r.acked(10)
		time.Sleep(time.Minute)
		release()
		r.acked(20)
		r.mustStop()
		clean(t, good)
	})
}

func TestUnreadyPausesAndRedeliversNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetReady(false)
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.Limits.Window = 64
		r := start(t, memory.Config{}, cfg)
		r.publish(500, 1)
		time.Sleep(time.Hour)
		st := r.w.Status()
		if st.Strands[0].Held != 64 || st.Strands[0].State != "window_full" || len(st.Strands[0].BlockedBy) != 1 {
			t.Fatalf("the strand is %+v", st.Strands[0])
		}
		if asked := s.Stats().Asked; asked < 3600 || asked > 3600*5 {
			t.Fatalf("IsReady was asked %d times in an hour", asked)
		}
		r.lane(worker.LaneUnready)
		before := time.Now()
		s.SetReady(true)
		r.acked(64)
		if took := time.Since(before); took > time.Second {
			t.Fatalf("flow resumed after %v", took)
		}
		r.acked(500)
		r.mustStop()
		r.drained()
		clean(t, s)
	})
}

func TestAnUnreadyLaneStillNamesItsLastError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Do(-1, func(context.Context, *checker.Call) error {
			go s.SetReady(false)
			return errDown
		})
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(1, 1)
		time.Sleep(time.Minute)
		if l := r.lane(worker.LaneUnready); !strings.Contains(l.Why, errDown.Error()) {
			t.Fatalf("the lane says %q, which leaves out the error", l.Why)
		}
		undo()
		s.SetReady(true)
		r.acked(1)
		r.mustStop()
	})
}

func TestASlowIsReadyCountsAsFalse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		var quick atomic.Bool
		s.ReadyWhen(func(protocol.Key) bool {
			if !quick.Load() {
				time.Sleep(3 * time.Second)
			}
			return true
		})
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(1, 1)
		time.Sleep(20 * time.Second)
		if s.Stats().Flushes != 0 {
			t.Fatal("Flush was called after an IsReady of three seconds")
		}
		quick.Store(true)
		r.acked(1)
		r.mustStop()
	})
}

func TestWhatCannotBeReadOrRoutedBecomesADeadLetter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("p", worker.Match{Project: "p"}, entryOf("out", s))}})
		good := encode(t, group("1"))
		r.q.Publish(
			keyed("p", "l", []byte{0xff, 0xff}),
			queue.Message{Value: good, Headers: []queue.Header{{Key: "x-log-project", Value: "p"}}},
			keyed("other", "l", good),
			keyed("p", "l", good, queue.Header{Key: "Content-Type", Value: "text/csv"}),
			keyed("p", "l", nil),
			keyed("p", "l", good, queue.Header{Key: "x-flushline-to", Value: "test/p/gone"}),
			keyed("p", "l", good, queue.Header{Key: "x-flushline-to", Value: "elsewhere/p/out"}),
			keyed("p", "l", good),
		)
		r.acked(8)
		r.mustStop()
		r.drained()
		want := map[string]int64{"undecodable": 2, "no_key": 1, "no_route": 1, "unknown_target": 1}
		st := r.w.Status().Sources[0]
		for reason, n := range want {
			if st.Counts.DeadLettered[reason] != n {
				t.Errorf("%d dead letters are %s, want %d: %v", st.Counts.DeadLettered[reason], reason, n, st.Counts.DeadLettered)
			}
		}
		if st.Counts.Skipped["empty"] != 1 || st.Counts.Skipped["not_ours"] != 1 || st.Counts.Flushed != 1 {
			t.Errorf("counts are %+v", st.Counts)
		}
		if m := r.letters.Messages()[0]; string(m.Value) != "\xff\xff" {
			t.Errorf("the undecodable message was stored as %q", m.Value)
		}
	})
}

func TestWithoutADeadLetterQueueTheStrandStopsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.DeadLetter.Sink = noLetters
		r := start(t, memory.Config{Strands: 2}, cfg)
		bad := keyed("p", "l", []byte{0xff})
		r.q.Publish(bad)
		synctest.Wait()
		for i := range 10 {
			m := keyed("p", "l", encode(t, group(fmt.Sprint(i))))
			m.Partition = int32(i % 2)
			r.q.Publish(m)
		}
		r.acked(5)
		time.Sleep(time.Minute)
		if r.q.Acked() != 5 {
			t.Fatalf("%d acknowledged, want the other strand's 5", r.q.Acked())
		}
		stopped := 0
		for _, st := range r.w.Status().Strands {
			if st.State == "stopped" && strings.Contains(st.Why, "dead_letter is none") {
				stopped++
			}
		}
		if stopped != 1 {
			t.Fatalf("%d strands say that they stopped: %+v", stopped, r.w.Status().Strands)
		}
		r.mustStop()
		if r.q.Pending() != 6 {
			t.Fatalf("%d messages are left, want 6", r.q.Pending())
		}
	})
}

func TestAFailingDeadLetterQueueWithholdsTheAcknowledgement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.letters.FailNext(-1, errors.New("stream is full"))
		r.q.Publish(keyed("p", "l", []byte{0xff}))
		r.publish(10, 1)
		r.acked(10)
		time.Sleep(time.Hour)
		if r.q.Pending() != 1 {
			t.Fatalf("%d pending, want the undecodable one", r.q.Pending())
		}
		if why := r.w.Status().Strands[0].Why; !strings.Contains(why, "stream is full") {
			t.Fatalf("status says %q of a dead letter queue that fails", why)
		}
		r.balanced()
		r.letters.FailNext(0, nil)
		r.acked(11)
		r.mustStop()
		r.drained()
	})
}

func TestTheGuardStopsWhatDeadLettersEverythingUntilResume(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Fail(flushers.Permanent(errors.New("wrong format")))
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.DeadLetter.StopAfter = 50
		r := start(t, memory.Config{}, cfg)
		r.publish(500, 1)
		time.Sleep(time.Hour)
		if n := len(r.letters.Messages()); n != 50 {
			t.Fatalf("%d dead letters, want 50", n)
		}
		r.lane(worker.LaneHolding)
		if len(r.w.Status().Stopped) == 0 {
			t.Fatal("status does not say what has stopped")
		}
		r.balanced()
		undo()
		if names := r.w.Resume(); len(names) == 0 {
			t.Fatal("Resume names nothing")
		}
		r.acked(500)
		r.mustStop()
		r.drained()
	})
}

func TestBatchesWaitForCompanyAndCloseWhenFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		e := entryOf("out", s)
		e.Batch = worker.Batch{Groups: 10, Wait: 5 * time.Second}
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}})
		began := time.Now()
		r.publish(3, 1)
		r.acked(3)
		if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
			t.Fatalf("3 of 10 groups were flushed after %v, want 5s", took)
		}
		began = time.Now()
		r.publish(10, 1)
		r.acked(13)
		if took := time.Since(began); took > time.Second {
			t.Fatalf("a full batch waited %v", took)
		}
		r.publish(2, 1)
		synctest.Wait()
		began = time.Now()
		r.mustStop()
		if took := time.Since(began); took > time.Second {
			t.Fatalf("a waiting batch held the stop up for %v", took)
		}
		if r.q.Pending() != 0 {
			t.Fatalf("%d messages are left after a clean stop", r.q.Pending())
		}
		clean(t, s)
	})
}

func TestAStopIsBoundedAndGivesTheRestBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		release := s.Hang()
		r := start(t, memory.Config{}, worker.Config{Drain: 10 * time.Second, Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(50, 1)
		synctest.Wait()
		began := time.Now()
		err := r.stop()
		if !errors.Is(err, worker.ErrDrainDeadline) {
			t.Fatalf("Run returned %v", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 25*time.Second {
			t.Fatalf("the stop took %v", took)
		}
		if r.q.Pending() != 50 {
			t.Fatalf("%d messages are left, want 50", r.q.Pending())
		}
		release()
		synctest.Wait()
		r.balanced()
		r.drained()
	})
}

func TestBlockedPartsAreNoFailureOfAStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetReady(false)
		r := start(t, memory.Config{}, worker.Config{Drain: 10 * time.Second, Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(50, 5)
		synctest.Wait()
		r.mustStop()
		r.drained()
		if r.q.Pending() != 50 || s.Stats().Flushes != 0 {
			t.Fatalf("%d left, %d flushes", r.q.Pending(), s.Stats().Flushes)
		}
		if n := r.w.Status().Sources[0].Counts.Released["stopping"]; n != 50 {
			t.Fatalf("%d parts are counted as released", n)
		}
		if st := s.Stats(); st.Urgent != 5 || st.Stops != 5 {
			t.Fatalf("%d instances were told of the end and %d stopped, want 5", st.Urgent, st.Stops)
		}
	})
}

func TestHurrySkipsTheDrain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetReady(false)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(5, 1)
		synctest.Wait()
		began := time.Now()
		r.end()
		time.Sleep(time.Second)
		r.w.Hurry()
		r.mustStop()
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("the hurried stop took %v", took)
		}
	})
}

func TestALostStrandSettlesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		release := s.Hang()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(10, 2)
		synctest.Wait()
		r.q.EndStrand(0, queue.Lost, time.Now())
		synctest.Wait()
		release()
		synctest.Wait()
		if r.q.Acked() != 0 {
			t.Fatal("a message of a lost strand was acknowledged")
		}
		r.balanced()
		r.q.Assign(0)
		r.acked(10)
		r.mustStop()
		r.drained()
		if r.w.Status().LateFlushes == 0 {
			t.Fatal("the late results are not counted")
		}
	})
}

func TestARevokedStrandFinishesWhatItCan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetDelay(2 * time.Second)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(10, 2)
		synctest.Wait()
		r.q.EndStrand(0, queue.Revoked, time.Now().Add(20*time.Second))
		r.acked(10)
		if n := s.Stats().Urgent; n != 0 {
			t.Fatal("SetUrgent(true) was sent for a revoked strand")
		}
		r.mustStop()
		r.drained()
	})
}

func TestIdleLanesAreStoppedAndComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.OneInstance = true
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.Limits.LaneIdle = time.Minute
		r := start(t, memory.Config{}, cfg)
		r.publish(20, 5)
		r.acked(20)
		time.Sleep(3 * time.Minute)
		if st := s.Stats(); st.Stops != 5 || st.Calm != 5 {
			t.Fatalf("%d of 5 idle instances were stopped, %d told so", st.Stops, st.Calm)
		}
		r.publish(20, 5)
		r.acked(40)
		r.mustStop()
		clean(t, s)
		if c := r.w.Status().Flushers[0].Counts; c.Flushed != 40 {
			t.Fatalf("%d flushed are counted over both lives, want 40", c.Flushed)
		}
	})
}

func TestTheNumberOfLanesIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.Limits.Lanes = 10
		r := start(t, memory.Config{}, cfg)
		r.publish(1000, 100)
		r.acked(1000)
		r.mustStop()
		r.drained()
		clean(t, s)
		if st := s.Stats(); st.Inits < 100 || st.Inits != st.Stops {
			t.Fatalf("%d instances, %d stopped", st.Inits, st.Stops)
		}
	})
}

func TestADeadDestinationLeavesTheOthersTheirMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dead, good := checker.New(), checker.New()
		release := dead.Stall()
		cfg := worker.Config{Routes: []worker.Route{
			routeOf("dead", worker.Match{Logstore: "ls0"}, entryOf("dead", dead)),
			routeOf("good", worker.Match{}, entryOf("good", good)),
		}}
		cfg.Limits.InFlight, cfg.Limits.Work = 4<<20, 1<<20
		r := start(t, memory.Config{Strands: 2}, cfg)
		big := strings.Repeat("x", 10_000)
		for i := range 2000 {
			m := keyed("p", fmt.Sprintf("ls%d", i%2), encode(t, group(fmt.Sprint(i, big))))
			m.Partition = int32(i % 2)
			r.q.Publish(m)
		}
		r.acked(1000)
		st := r.w.Status()
		for _, p := range st.Pools {
			if p.Used > p.Limit {
				t.Errorf("pool %s is overdrawn: %+v", p.Name, p)
			}
		}
		release()
		r.acked(2000)
		r.mustStop()
		r.drained()
	})
}

func TestConcurrentFlushersGetSeveralBatchesAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Concurrent = 4
		s.SetDelay(time.Second)
		e := entryOf("out", s)
		e.Batch.Groups = 10
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}})
		began := time.Now()
		r.publish(400, 1)
		r.acked(400)
		if took := time.Since(began); took > 15*time.Second {
			t.Fatalf("40 batches of a second, 4 at a time, took %v", took)
		}
		r.mustStop()
		r.drained()
		clean(t, s)
	})
}

func TestABoundedSourceEndsTheRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetDelay(time.Second)
		q := memory.New(memory.Config{Bounded: true, Strands: 3})
		for i := range 90 {
			m := keyed("p", fmt.Sprint(i%7), encode(t, group(fmt.Sprint(i))))
			m.Partition = int32(i)
			q.Publish(m)
		}
		w, err := worker.New(worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Run(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if q.Pending() != 0 || s.Stats().Groups != 90 {
			t.Fatalf("%d pending, %d stored", q.Pending(), s.Stats().Groups)
		}
	})
}
