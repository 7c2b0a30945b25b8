//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/internal/seed"
)

// Workers are stopped and started under load again and again: they end with 0 within
// the drain, nothing is lost, and no log comes twice.
func TestCleanRestarts(t *testing.T) {
	t.Parallel()
	run := proof.Begin("clean-restarts", "Workers that are told to end under load end with code 0, lose nothing, and nothing comes twice.", size("make faults", "make e2e-long RUN=TestCleanRestarts"))
	var onNATS, onKafka, twiceOnNATS, twiceOnKafka int
	t.Run("all", func(t *testing.T) {
		t.Run("nats", func(t *testing.T) {
			t.Parallel()
			r := newRig(t, false)
			onNATS = restarts(t, r, size(4, 100))
			twiceOnNATS = r.judge(t, (*ledger.Verdict).Once)
		})
		// Three workers in turn, whose partitions move each time.
		t.Run("kafka", func(t *testing.T) {
			t.Parallel()
			r, k := newKafkaRig(t)
			k.session = patient
			c := newCrew(t, r, k, seed.New(t))
			rounds := size(1, 34)
			rolling(t, c, r.load(50), rounds, nil, nil)
			onKafka = rounds * len(crewNames)
			twiceOnKafka = r.judge(t, (*ledger.Verdict).Once)
		})
	})
	run.Fault("SIGTERM under load on NATS", onNATS)
	run.Fault("SIGTERM under load on Kafka", onKafka)
	run.AtLeast("clean restarts", float64(onNATS+onKafka), float64(size(7, 200)), "")
	run.AtMost("came twice", float64(twiceOnNATS+twiceOnKafka), 0, "logs")
	run.End(t)
}

// restarts stops and starts one worker on NATS so often.
func restarts(t *testing.T, r *rig, rounds int) int {
	t.Helper()
	rng := seed.New(t)
	config := r.config(t, "w1", 2000)
	r.setup(t, config)
	load := r.load(30)
	load.Rate = 600
	stop := r.producing(t, load)

	var held int
	for i := range rounds {
		p := r.pod(t, "flushline", "w1", config)
		r.flows(t)
		<-time.After(moment(rng, 800*time.Millisecond))
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
	return rounds
}
