package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// Strands that wait for a lane look for an idle one in turns: that one has just found
// none idle is no reason for the others, as long as they are several, never to look.
func TestStrandsThatWaitForALaneAllGetOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		out := checker.New()
		out.SetDelay(250 * time.Millisecond) // a look finds the lane busy
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("x", out))}}
		cfg.Limits.Lanes = 1
		const strands, messages = 5, 100
		r := start(t, memory.Config{Strands: strands}, cfg)
		for i := range messages {
			m := keyed("p", fmt.Sprint("ls", i), encode(t, group(fmt.Sprint(i))))
			m.Partition = int32(i % strands)
			r.q.Publish(m)
			time.Sleep(7 * time.Millisecond) // so that their looks fall between each other
		}
		began := time.Now()
		r.acked(messages)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%d keys in turn took %s", messages, took)
		}
		r.mustStop()
		r.drained()
		clean(t, out)
	})
}
