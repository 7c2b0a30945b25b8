package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// watch notes the phases of suspects, each with one of them, while a lane gets something
// each 100 ms.
func (r *rig) watch(phases map[string]worker.SuspectStatus, d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		r.trickle("ls0", 100*time.Millisecond)
		r.see(phases)
	}
}

func (r *rig) see(phases map[string]worker.SuspectStatus) {
	r.t.Helper()
	for _, l := range r.w.Status().Lanes {
		if l.Doubtful < len(l.Suspects) {
			r.t.Errorf("%d suspects are shown of %d", len(l.Suspects), l.Doubtful)
		}
		for _, s := range l.Suspects {
			if s.Next == "" || s.Failed == "" || s.Attempt < 2 || s.Groups < 1 {
				r.t.Errorf("a suspect is shown as %+v", s)
			}
			phases[s.Phase] = s
		}
	}
}

// Status shows what is suspected, and what happens next; the groups of a batch that was
// cut are counted, of a kind that is not atomic.
func TestStatusShowsSuspects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(errDown, has("3"))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.trickle("ls0", 20*time.Second) // a failure among so many successes says little of the destination
		r.poisoned(s, 8)
		phases := map[string]worker.SuspectStatus{}
		for !strings.HasPrefix(phases[worker.SuspectSuspected].Next, "halved when it fails 1 times more") {
			r.watch(phases, 100*time.Millisecond)
		}
		r.trickle("ls0", 100*time.Millisecond) // a success since
		undo := s.Fail(errDown)                // it fails once more, and nothing comes through
		if first := phases[worker.SuspectSuspected]; first.Groups != 8 || first.Failed != errDown.Error() {
			t.Errorf("at first it is shown as %+v", first)
		}
		r.watch(phases, 5*time.Second)
		if got := phases[worker.SuspectPausing]; got.Groups != 8 || len(r.reasons()) != 0 {
			t.Errorf("while the destination is away it is %+v, dead letters %v", got, r.reasons())
		}
		undo()
		r.watch(phases, 40*time.Second)
		if phases[worker.SuspectAlone].Groups != 1 || len(r.reasons()) != 1 {
			t.Errorf("the phases are %+v, the dead letters %v", phases, r.reasons())
		}
		expect(t, scrape(t, r.w), map[string]float64{"repeated_groups_total{flusher=out,route=all}": 8 + 4 + 2})
		r.acked(r.q.Published())
		r.mustStop()
	})
}

// A batch that hangs is shown, too; an atomic kind repeats nothing.
func TestStatusShowsWhatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		release := s.Hang(has("3"))
		out := entryOf("out", s)
		out.Kind.Atomic = true
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, out)}})
		r.poisoned(s, 8)
		phases := map[string]worker.SuspectStatus{}
		r.watch(phases, 2*time.Minute)
		if phases[worker.SuspectHanging].Groups == 0 {
			t.Errorf("the phases are %+v", phases)
		}
		expect(t, scrape(t, r.w), map[string]float64{"repeated_groups_total{flusher=out,route=all}": 0})
		release()
		r.acked(r.q.Published())
		r.mustStop()
	})
}
