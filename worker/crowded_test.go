package worker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/worker"
)

// A dead lane that keeps its strand from being fetched does not have all of park_after:
// the batch that it tries again would hold the others up for as long.
func TestALaneThatCrowdsItsStrandIsBlockedSooner(t *testing.T) {
	for name, c := range map[string]struct {
		messages int
		parks    bool
	}{
		"as many as the window has": {messages: 400, parks: true},
		"half of the window":        {messages: 32, parks: false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a, b := checker.New(), checker.New()
				back := a.Fail(errDown)
				var cfg worker.Config
				cfg.Limits.Window = 64
				r, parked := parkRig(t, cfg, a, b)
				for i := range c.messages {
					r.q.Publish(keyed("p", fmt.Sprint("ls", i%2), encode(t, group(fmt.Sprint(i)))))
				}
				time.Sleep(4500 * time.Millisecond) // park_after is ten seconds
				synctest.Wait()
				if got := len(b.Count()); got != c.messages/2 {
					t.Errorf("%d groups came to the destination that is well, want %d", got, c.messages/2)
				}
				if n := parked.Waiting(); n > 0 != c.parks {
					t.Errorf("%d records are parked", n)
				}
				back()
				r.allArrives(parked, a, c.messages/2, 3*time.Minute)
			})
		})
	}
}
