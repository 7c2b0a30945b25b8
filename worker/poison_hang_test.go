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

// A batch that hangs twice while others come through is sent group by group, and the one
// group that hangs alone becomes a dead letter. Nothing more is left hanging than the two
// calls of the batch and one of its own.
func TestAGroupThatHangsIsFound(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		t.Run(fmt.Sprint("one of ", n), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				bad := fmt.Sprint(n / 2)
				release := s.Hang(has(bad))
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.poisoned(s, n)
				r.trickle("ls0", 5*time.Minute)
				r.acked(int64(n) + 3000)
				if got := r.reasons(); len(got) != 1 || got[bad] != worker.ReasonHangs {
					t.Errorf("the dead letters are %v", got)
				}
				if st := r.w.Status().Flushers[0]; st.Abandoned > 3 {
					t.Errorf("%d calls hang, want 3 at most", st.Abandoned)
				}
				release()
				synctest.Wait()
				r.mustStop()
				r.drained()
			})
		})
	}
}

// A destination that answers nothing hangs for all: no group is to blame.
func TestADestinationThatHangsDoomsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.trickle("ls0", 10*time.Second)
		release := s.Hang()
		r.trickle("ls0", 20*time.Minute)
		if got := r.reasons(); len(got) != 0 {
			t.Errorf("dead letters: %v", got)
		}
		release()
		r.acked(100 + 12000)
		r.mustStop()
		if got := r.reasons(); len(got) != 0 {
			t.Errorf("dead letters: %v", got)
		}
	})
}
