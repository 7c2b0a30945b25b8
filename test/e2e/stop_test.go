//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
)

// A worker is stopped under load again and again: it ends with 0 within the
// drain, and no log comes twice.
func TestCleanStopsUnderLoadMakeNoDuplicates(t *testing.T) {
	rounds := size(4, 20)
	rng := seed.New(t)
	r := newRig(t, false)
	config := r.config(t, "w1", 2000)
	r.setup(t, config)
	load := r.load(30)
	load.Rate = 600
	stop := r.producing(t, load)

	var held int
	for i := range rounds {
		p := r.pod(t, "flushline", "w1", config)
		seen := r.slow.logs.Load()
		eventually(t, time.Minute, "logs flow", func() bool { return r.slow.logs.Load() > seen+50 })
		<-time.After(time.Duration(rng.IntN(800)) * time.Millisecond)
		p.status(t)
		before := r.broker.consumer(t).NumAckPending
		held += before
		took := p.terminate(t)
		if took > r.drain {
			t.Errorf("stop %d took %s, the drain is %s", i+1, took, r.drain)
		}
		after := r.broker.consumer(t).NumAckPending
		t.Logf("stop %d: %d held, took %s, %d given back", i+1, before, took.Round(time.Millisecond), after)
	}
	if held == 0 {
		t.Error("no stop met a message that was held: nothing was shown")
	}
	stop()
	p := r.pod(t, "flushline", "w1", config)
	r.broker.drained(t, time.Minute)
	p.terminate(t)
	r.judge(t, (*ledger.Verdict).Once)
}
