//go:build unix

package e2e

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/internal/seed"
)

// flowBack is how long after the server's return new logs may take to arrive.
const flowBack = 3 * time.Second

// The server is stopped and killed under load: nothing is lost, and what is
// published after its return flows at once.
func TestBrokerRestartsLoseNothing(t *testing.T) {
	run := proof.Begin("nats-restart", "After nats-server was restarted or killed, new logs flow soon after its return, and nothing is lost.", size("make faults", "make e2e-long RUN=TestBrokerRestarts"))
	rounds := size(1, 30)
	rng := seed.New(t)
	r := newRig(t, true)
	config := r.config(t, "w1", 2000)
	r.setup(t, config)
	load := r.load(30)
	load.Rate = 300
	stop := r.producing(t, load)
	p := r.pod(t, "flushline", "w1", config)

	var times []time.Duration
	for range rounds {
		for _, how := range []struct {
			name, fault string
			do          func(*testing.T)
		}{{"stopped", "SIGTERM of nats-server", r.broker.halt}, {"killed", "SIGKILL of nats-server", r.broker.crash}} {
			r.flows(t)
			<-time.After(moment(rng, 500*time.Millisecond))
			how.do(t)
			run.Fault(how.fault, 1)
			<-time.After(moment(rng, 3*time.Second))
			r.broker.start(t)
			took := r.flowsAgain(t, "the server is back, was "+how.name, time.Minute)
			times = append(times, took)
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
	timed(run, "new logs arrive after the server's return", times, flowBack)
	run.End(t)
}

// timed adds what a time was in all cases, half and 99 of 100 of them and the longest,
// beside its bound.
func timed(run *proof.Run, of string, times []time.Duration, bound time.Duration) {
	untimed(run, of, times)
	run.AtMost(of+", p99", quantile(times, 0.99), bound.Seconds(), "s")
	run.AtMost(of+", longest", quantile(times, 1), bound.Seconds(), "s")
}

// untimed is the same of a time that has no bound.
func untimed(run *proof.Run, of string, times []time.Duration) {
	run.Value(of+", times measured", float64(len(times)), "")
	run.Value(of+", p50", quantile(times, 0.5), "s")
}

func quantile(times []time.Duration, part float64) float64 {
	slices.Sort(times)
	return times[int(math.Ceil(part*float64(len(times))))-1].Seconds()
}
