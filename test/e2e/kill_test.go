//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
)

// A worker is killed at random moments: every id is in the files, and the
// consumer's ack floor is the stream's end.
func TestKilledWorkersLoseNothing(t *testing.T) {
	groups, kills := size(6_000, 100_000), size(3, 10)
	window := size(800, 8192)
	rng := seed.New(t)
	r := newRig(t, false)
	config := r.config(t, "w1", window)
	r.setup(t, config)
	load := r.load(50)
	load.Groups = groups
	r.produce(t, load)

	var held int
	for i := range kills {
		p := r.pod(t, "flushline", "w1", config)
		left := uint64(float64(groups) * (1 - (float64(i)+rng.Float64())/float64(kills+1)))
		eventually(t, 2*time.Minute, "the worker goes on", func() bool {
			if !p.running() {
				t.Fatal("the worker ended by itself")
			}
			return r.broker.consumer(t).NumPending <= left
		})
		<-time.After(time.Duration(rng.IntN(300)) * time.Millisecond)
		p.kill()
		info := r.broker.consumer(t)
		t.Logf("kill %d: %d to come, %d held", i+1, info.NumPending, info.NumAckPending)
		held += info.NumAckPending
	}
	if held == 0 {
		t.Error("no kill met a message that was held: nothing was shown")
	}
	p := r.pod(t, "flushline", "w1", config)
	r.broker.drained(t, 3*time.Minute)
	p.terminate(t)
	r.judge(t, (*ledger.Verdict).Kept)
}
