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

// crowdedRig is a worker with two lanes, both busy with a dead destination of a route
// that waits. What goes to b parks.
func crowdedRig(t *testing.T, a, b *checker.Script) (*rig, *memory.Parked) {
	t.Helper()
	parked := memory.NewParked("memory")
	r := start(t, memory.Config{}, worker.Config{
		Parked: parked, Limits: worker.Limits{Lanes: 2},
		Routes: []worker.Route{
			routeOf("a", worker.Match{Project: "waits"}, entryOf("x", a)),
			{Name: "b", Flushers: []worker.Entry{entryOf("x", b)}, Park: true},
		},
	})
	for i := range 2 {
		r.q.Publish(keyed("waits", fmt.Sprint("ls", i), encode(t, group(fmt.Sprint("a", i)))))
	}
	time.Sleep(time.Millisecond)
	return r, parked
}

// What has no lane because all are busy does not hold up its strand where its route
// parks: it is parked, and delivered when there is a lane for it.
func TestWhatHasNoLaneIsParkedInTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		back := a.Fail(errDown)
		r, parked := crowdedRig(t, a, b)
		r.publish(40, 20)
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		if n := parked.Waiting(); n != 0 {
			t.Errorf("%d records are parked before their strand was held up for a second", n)
		}
		if s := r.w.Status().Strands[0]; s.State != "lanes_exhausted" {
			t.Errorf("meanwhile the strand is %s, want lanes_exhausted", s.State)
		}
		time.Sleep(500 * time.Millisecond)
		r.isParked(parked, 40, 40)
		began := time.Now()
		for i := range 100 { // each for a key of its own: none waits, now that some did
			r.q.Publish(keyed("p", fmt.Sprint("other", i), encode(t, group(fmt.Sprint("b", i)))))
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		if n := r.q.Acked(); n != 140 || time.Since(began) > 5*time.Second {
			t.Errorf("%d messages are acknowledged behind %s, want 140", n, time.Since(began))
		}
		if n := b.Stats().Inits; n != 0 {
			t.Errorf("%d instances were begun beyond limits.lanes", n)
		}
		back()
		r.allArrives(parked, b, 140, 5*time.Minute)
	})
}

// A lane without an instance is shown while its companion takes nothing, and a stop
// gives back what it holds.
func TestALaneBeyondTheLimitIsShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		a.Fail(errDown)
		r, parked := crowdedRig(t, a, b)
		parked.FailNext(-1, errDown)
		r.publish(10, 1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		var l worker.LaneStatus
		for _, other := range r.w.Status().Lanes {
			if other.Project == "p" {
				l = other
			}
		}
		if l.State != worker.LaneParking || l.Park == nil || l.Park.Phase != worker.ParkNoLane || l.Why == "" || l.Parts != 10 {
			t.Errorf("the lane is shown as %+v", l)
		}
		if err := r.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if n := r.q.Acked(); n != 0 {
			t.Errorf("%d messages are acknowledged, and nothing was stored", n)
		}
		r.drained()
	})
}

// What a lane beyond the limit parks is counted until it is stored, whoever looks for
// lanes meanwhile; when there is room for the lane it flushes what comes.
func TestALaneBeyondTheLimitIsOneAsAnyInTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		back := a.Fail(errDown)
		r, parked := crowdedRig(t, a, b)
		stores := parked.Block()
		r.publish(10, 1)
		time.Sleep(2 * time.Second)
		r.q.Publish(keyed("p", "other", encode(t, group("another key, for which an idle lane is looked for"))))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := r.w.Status().Flushers[1].Counts.InFlight; n != 11 {
			t.Errorf("%d parts are shown as under way, want 11: none of them is stored", n)
		}
		back()
		time.Sleep(time.Minute)
		r.publish(1, 1)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := len(b.Count()); n != 1 {
			t.Errorf("%d groups were flushed, want the one that came when there was room", n)
		}
		stores()
		r.allArrives(parked, b, 12, 5*time.Minute)
	})
}
