package worker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/worker"
)

// A blocked lane that was stopped for being idle is still blocked when traffic comes:
// nothing waits for park_after again, and its destination is tried as seldom.
func TestABlockedLaneThatWasIdleIsStillBlocked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := checker.New(), checker.New()
		back := a.Fail(errDown)
		var cfg worker.Config
		cfg.Limits.LaneIdle = time.Second // far below the pause between tries
		r, parked := parkRig(t, cfg, a, b)
		r.publish(20, 1)
		time.Sleep(15 * time.Second)
		before := a.Stats()
		for i := range 60 { // in between it is idle
			time.Sleep(10 * time.Second)
			r.publish(10, 1)
			time.Sleep(time.Second)
			synctest.Wait()
			if n, want := r.q.Acked(), int64(20+10*(i+1)); n < want-1 {
				t.Fatalf("a second behind their coming %d of %d messages are acknowledged: a try holds one at most", n, want)
			}
		}
		after := a.Stats()
		if n := after.Flushes - before.Flushes; n < 8 || n > 40 {
			t.Errorf("%d tries in eleven minutes", n)
		}
		if after.Stops == before.Stops {
			t.Error("the lane was never stopped: the test shows nothing")
		}
		back()
		r.allArrives(parked, a, 620, 3*time.Minute)
	})
}

// Many blocked lanes that were idle do not try their destination all at once.
func TestIdleBlockedLanesAreNoStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const lanes = 50
		a, b := checker.New(), checker.New()
		b.Fail(errDown)
		var cfg worker.Config
		cfg.Limits.LaneIdle = time.Second
		r, _ := parkRig(t, cfg, a, b)
		for i := range 3 * lanes {
			r.q.Publish(keyed("p", fmt.Sprint("other", i%lanes), encode(t, group(fmt.Sprint(i)))))
		}
		time.Sleep(10 * time.Minute)
		before := b.Stats().Flushes
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := b.Stats().Flushes - before; n < 8*lanes || n > 20*lanes {
			t.Errorf("%d tries of %d lanes in ten minutes, want one about every minute for each", n, lanes)
		}
		r.mustStop()
		r.drained()
	})
}
