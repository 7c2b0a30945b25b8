//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/internal/seed"
)

// A worker is killed while it holds messages that it cannot flush: they arrive through
// the other one as soon as the queue has missed it, on NATS after the ack wait, on Kafka
// after the session and a heartbeat.
func TestWhatAKilledWorkerHeldArrives(t *testing.T) {
	const handed = time.Second // for handing out, flushing and looking
	run := proof.Begin("worker-kill-recovery", "What a killed worker held is delivered by another one as soon as the queue has missed it.", size("make faults", "make e2e-long RUN=TestWhatAKilledWorkerHeld"))
	onNATS, onKafka := &heir{rounds: size(1, 25)}, &heir{rounds: size(1, 25)}
	t.Run("all", func(t *testing.T) {
		t.Run("nats", func(t *testing.T) {
			t.Parallel()
			onNATS.rig = newRig(t, false)
			onNATS.inherits(t, ackWait+handed)
		})
		t.Run("kafka", func(t *testing.T) {
			t.Parallel()
			onKafka.rig, onKafka.kafka = newKafkaRig(t)
			onKafka.inherits(t, session+session/6+handed)
		})
	})
	for i, h := range []*heir{onNATS, onKafka} {
		what := []string{"NATS", "Kafka"}[i]
		if len(h.times) != h.rounds {
			t.Fatalf("%d of %d kills on %s were timed", len(h.times), h.rounds, what)
		}
		run.Fault("SIGKILL of a worker that held messages on "+what, h.rounds)
		run.AtMost("came twice on "+what, float64(h.duplicates), 0, "messages")
	}
	timed(run, fmt.Sprintf("NATS (ack wait %s): all that it held has arrived", ackWait), onNATS.times, ackWait+handed)
	timed(run, fmt.Sprintf("Kafka (session %s, heartbeat %s): all that it held has arrived", session, session/6), onKafka.times, session+session/6+handed)
	run.Note("The bounds are the ack wait, and the session and a heartbeat, each with a second for handing out, flushing and looking. The server counts the ack wait from the last sign of life, which lies up to a third of it before the kill.")
	run.End(t)
}

// heir is a worker on one queue with another, which is killed round after round.
type heir struct {
	*rig
	kafka      *kafka
	rounds     int
	times      []time.Duration
	duplicates int
}

// inherits kills w1, which is never ready then, and times until w2 has delivered
// everything. Nothing of it can have arrived before.
func (h *heir) inherits(t *testing.T, bound time.Duration) {
	t.Helper()
	rng := seed.New(t)
	out := filepath.Join(h.dir, "gated")
	flushed := func() int { return lines(t, filepath.Join(out, "w2")) }
	gate := func(name string) string { return filepath.Join(h.dir, "gate-"+name) }
	config := func(name string) string {
		return h.write(t, name, 1000, fmt.Sprintf(`
  - name: all
    flushers:
      - {type: gated, path: "%s/%s", gate: %q, flush_timeout: 4s}
`, out, name, gate(name)))
	}
	one, two := config("w1"), config("w2")
	h.setup(t, one)
	open(t, gate("w2"))
	other := h.pod(t, "program", "w2", two)
	load := h.load(20)
	load.Logs, load.Groups = 1, 400
	for round := range h.rounds {
		p := h.pod(t, "program", "w1", one)
		p.serves(t)
		if h.kafka != nil {
			h.kafka.settled(t, 2)
		}
		h.produce(t, load)
		all := (round + 1) * load.Groups
		var held int64
		eventually(t, time.Minute, "w1 holds what w2 has not flushed", func() bool {
			held = p.held(t)
			return held > 0 && int64(flushed())+held == int64(all)
		})
		<-time.After(moment(rng, 2*time.Second))
		killed := time.Now()
		p.kill()
		eventually(t, time.Minute, "what w1 held arrives", func() bool { return flushed() == all })
		took := time.Since(killed)
		h.times = append(h.times, took)
		t.Logf("it held %d messages, which had arrived after %s", held, took.Round(time.Millisecond))
		if took > bound {
			t.Errorf("what it held had arrived after %s, at most %s are allowed", took, bound)
		}
	}
	other.status(t)
	other.terminate(t)
	h.duplicates = h.judgeOne(t, "gated", out, nil, (*ledger.Verdict).Once).Duplicates
	h.noDeadLetters(t)
	if _, err := os.Stat(gate("w1")); err == nil {
		t.Error("w1 was ready")
	}
}
