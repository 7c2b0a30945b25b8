//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
)

// flowBack is how long after the server's return new logs may take to arrive.
const flowBack = 3 * time.Second

// The server is stopped and killed under load: nothing is lost, and what is
// published after its return flows at once.
func TestBrokerRestartsLoseNothing(t *testing.T) {
	rounds := size(1, 5)
	rng := seed.New(t)
	r := newRig(t, true)
	config := r.config(t, "w1", 2000)
	r.setup(t, config)
	load := r.load(30)
	load.Rate = 300
	stop := r.producing(t, load)
	p := r.pod(t, "flushline", "w1", config)

	for range rounds {
		for _, how := range []struct {
			name string
			do   func(*testing.T)
		}{{"stopped", r.broker.halt}, {"killed", r.broker.crash}} {
			seen := r.slow.logs.Load()
			eventually(t, time.Minute, "logs flow", func() bool { return r.slow.logs.Load() > seen+50 })
			<-time.After(time.Duration(rng.IntN(500)) * time.Millisecond)
			how.do(t)
			<-time.After(time.Duration(rng.IntN(3000)) * time.Millisecond)
			r.broker.start(t)
			back, next := time.Now(), r.journal.Tried()
			r.mark(t, "the server is back, was "+how.name)
			eventually(t, time.Minute, "logs of after the server's return arrive", func() bool {
				return r.slow.newest.Load() >= next
			})
			took := time.Since(back)
			t.Logf("%s: flow was back after %s", how.name, took.Round(time.Millisecond))
			if took > flowBack {
				t.Errorf("%s: flow was back after %s, want at most %s", how.name, took, flowBack)
			}
		}
	}
	stop()
	r.broker.drained(t, time.Minute)
	p.status(t)
	p.terminate(t)
	r.judge(t, (*ledger.Verdict).Kept)
}
