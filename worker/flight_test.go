package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// A lane with concurrent calls may wait while one of them runs. What that one leaves to
// be tried again is tried in its own time, not when the wait is over.
func TestTheEndOfACallEndsTheWaitForAnother(t *testing.T) {
	t.Run("for a fuller batch", func(t *testing.T) {
		waitsBesideACall(t, worker.Batch{Groups: 2, Wait: time.Minute}, 2, func(s *checker.Script, open chan struct{}) {
			s.Do(1, func(context.Context, *checker.Call) error { <-open; return errDown })
		})
	})
	t.Run("for a batch that failed", func(t *testing.T) {
		waitsBesideACall(t, worker.Batch{Groups: 4}, 4, func(s *checker.Script, open chan struct{}) {
			first := make(chan struct{})
			s.Do(1, func(context.Context, *checker.Call) error { return flushers.Permanent(errDown) })
			s.Do(1, func(context.Context, *checker.Call) error { defer close(first); return flushers.Misconfigured(errDown) })
			s.Do(1, func(context.Context, *checker.Call) error { <-first; return flushers.Permanent(errDown) })
			s.Do(1, func(context.Context, *checker.Call) error { <-open; return errDown })
		})
	})
}

// waitsBesideACall has the lane wait for half a minute or more while the call runs that
// open lets go, and fail.
func waitsBesideACall(t *testing.T, b worker.Batch, groups int, script func(*checker.Script, chan struct{})) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Concurrent = 2
		open := make(chan struct{})
		script(s, open)
		out := entryOf("out", s)
		out.RetryInitial, out.Batch = 100*time.Millisecond, b
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, out)}})
		r.publish(groups, 1)
		time.Sleep(time.Second)
		r.publish(1, 1) // does not fill a batch
		time.Sleep(time.Second)
		before := s.Stats()
		if before.Running != 1 {
			t.Fatalf("%d calls run, want the one that is to fail", before.Running)
		}
		close(open)
		time.Sleep(time.Second)
		synctest.Wait()
		if after := s.Stats(); after.Flushes == before.Flushes {
			t.Error("a second after a call failed it was not tried again")
		}
		r.acked(int64(groups) + 1)
		r.mustStop()
	})
}
