package worker_test

import (
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// A strand may be lost while it drains: somebody else reads what it holds, so that
// waiting for its deadline would only do everything twice.
func TestLostWhileDraining(t *testing.T) {
	for _, reason := range []queue.Reason{queue.Revoked, queue.Stopping} {
		t.Run(reason.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				release := s.Hang()
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.publish(3, 1)
				time.Sleep(2 * time.Second)
				r.q.EndStrand(0, reason, time.Now().Add(time.Minute))
				time.Sleep(2 * time.Second)
				if st := r.w.Status().Strands; len(st) != 1 || st[0].State != "draining" {
					t.Fatalf("while its flush runs: %+v", st)
				}
				r.q.EndStrand(0, queue.Lost, time.Now())
				time.Sleep(time.Second)
				if st := r.w.Status().Strands; len(st) != 0 {
					t.Fatalf("a second after it was lost: %+v", st)
				}
				release()
				time.Sleep(time.Second)
				if n := r.q.Acked(); n != 0 {
					t.Fatalf("%d messages were acknowledged that are another one's", n)
				}
				r.q.Assign(0)
				r.acked(3)
				r.mustStop()
				r.drained()
			})
		})
	}
}

// A strand that waits for room in `limits.lanes` when the process stops goes on
// waiting: what it holds can be flushed, and is, without waiting for the deadline.
func TestAStopWaitsForRoomForLanes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetDelay(2 * time.Second)
		r := start(t, memory.Config{}, worker.Config{
			Drain:  time.Minute,
			Routes: []worker.Route{routeOf("r", worker.Match{}, entryOf("e", s))},
			Limits: worker.Limits{Lanes: 1},
		})
		r.publish(3, 3)
		time.Sleep(time.Second) // the first is being flushed, the others wait for its lane
		began := time.Now()
		r.mustStop()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the stop took %v", took)
		}
		r.acked(3)
		if n := s.Stats().Groups; n != 3 {
			t.Errorf("%d groups were stored, want 3", n)
		}
		r.drained()
		clean(t, s)
	})
}
