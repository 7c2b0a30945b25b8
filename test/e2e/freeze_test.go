//go:build unix

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
)

// A worker is frozen until the broker has given what it held to another one, and
// wakes then, still believing that it is its own: nothing is lost.
func TestAFrozenWorkerLosesNothing(t *testing.T) {
	t.Parallel()
	rounds := size(1, 4)
	r := newRig(t, false)
	one, two := r.config(t, "w1", 500), r.config(t, "w2", 500)
	r.setup(t, one)
	load := r.load(30)
	load.Rate = 400
	stop := r.producing(t, load)
	frozen, other := r.pod(t, "flushline", "w1", one), r.pod(t, "flushline", "w2", two)
	var again uint64
	for range rounds {
		seen := r.slow.logs.Load()
		eventually(t, time.Minute, "logs flow", func() bool { return r.slow.logs.Load() > seen+100 })
		frozen.signal(syscall.SIGSTOP)
		// What it held comes again: more deliveries than messages.
		before := r.redelivered(t)
		eventually(t, 4*ackWait, "the broker delivers again what the frozen worker held", func() bool {
			return r.redelivered(t) > before
		})
		frozen.signal(syscall.SIGCONT)
		again = r.redelivered(t)
	}
	stop()
	r.broker.drained(t, time.Minute)
	t.Logf("%d messages were delivered again", again)
	for _, p := range []*pod{frozen, other} {
		p.status(t)
		p.terminate(t)
	}
	r.judge(t, (*ledger.Verdict).Kept)
}

// redelivered is how many deliveries were not a message's first.
func (r *rig) redelivered(t *testing.T) uint64 {
	t.Helper()
	d := r.broker.consumer(t).Delivered
	return d.Consumer - d.Stream
}
