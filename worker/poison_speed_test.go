package worker_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// One bad group in a hundred, spread over all lanes, costs the good ones at most a
// twentieth of their flow: what is in doubt does not fill the window. `make bench`
// measures what it costs in CPU.
func TestOnePercentPoisonCostsAtMostFivePercent(t *testing.T) {
	flow := func(t *testing.T, oneIn int) (good int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var stored atomic.Int64
			s := checker.New()
			s.CountOnly = true
			s.Do(-1, func(_ context.Context, c *checker.Call) error {
				time.Sleep(5 * time.Millisecond)
				if slices.ContainsFunc(c.Groups, func(g *protocol.LogGroup) bool {
					var id int
					_, err := fmt.Sscan(idOf(g), &id)
					return err != nil || oneIn > 0 && id%oneIn == 0
				}) {
					return errDown
				}
				stored.Add(int64(c.Len()))
				return nil
			})
			cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
			cfg.Limits.Window = 2048
			r := start(t, memory.Config{}, cfg)
			const each, lanes, seconds = 50, 20, 12 // 5,000 a second
			for i := range 100 * seconds {
				for n := range each {
					id := i*each + n
					r.q.Publish(keyed("p", fmt.Sprint("ls", (id*7+id/100)%lanes), encode(t, group(fmt.Sprint(id+1)))))
				}
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait()
			good = stored.Load()
			r.end()
			r.w.Hurry()
			<-r.done
			r.ended = true
			r.balanced()
		})
		return good
	}
	t.Parallel()
	without, with := flow(t, 0), flow(t, 100)
	if float64(with) < 0.95*0.99*float64(without) {
		t.Errorf("%d good groups were stored in the same time, of %d without poison", with, without)
	}
	t.Logf("%d good groups with poison, %d without", with, without)
}
