package worker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/worker"
)

// What comes for a blocked lane faster than it is parked is not read for ever: it would
// only be held. When the companion has stored what waits, the strand goes on, each time.
func TestWhatWaitsToBeParkedIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const (
			each = 2000
			most = 1024 // an eighth of the budget, at 512 bytes and more each, and what was fetched at once
		)
		a, b := checker.New(), checker.New()
		back := a.Fail(errDown)
		var cfg worker.Config
		cfg.Limits.InFlight = 2 << 20
		r, parked := parkRig(t, cfg, a, b)
		r.publish(1, 1)
		time.Sleep(30 * time.Second) // so the lane is blocked
		came := 1
		for range 2 {
			stores := parked.Block()
			for range each {
				r.q.Publish(keyed("p", "ls0", encode(t, group(fmt.Sprint("more", came)))))
				came++
			}
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if s := r.w.Status().Strands[0]; s.State != "parking_behind" || s.Held > most {
				t.Fatalf("nothing is stored, and the strand is %s and holds %d messages, want parking_behind and %d at most", s.State, s.Held, most)
			}
			stores()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if n := r.q.Acked(); n < int64(came)-1 { // a try holds one at most
				t.Fatalf("all can be stored, and %d of %d messages are acknowledged; the strand is %+v", n, came, r.w.Status().Strands[0])
			}
		}
		back()
		r.allArrives(parked, a, came, 5*time.Minute)
	})
}
