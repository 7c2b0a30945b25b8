//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
)

// A worker is frozen and wakes after its partitions have moved and all was delivered
// by another: it fetches nothing, moves no offset, and flushes nothing but what it
// held, until the group tells it. In turn it sleeps with messages that it can flush
// at once when it wakes, and with none but a request for more, which the broker
// answers while nobody reads.
func TestAFrozenWorkerWakesTooLateOnKafka(t *testing.T) {
	t.Parallel()
	const window = 50
	rounds := size(1, 5)
	r, k := newKafkaRig(t)
	k.session = 6 * time.Second // who is awake keeps it on a busy machine
	config := func(name string) string {
		return r.write(t, name, window, fmt.Sprintf(`
  - name: all
    flushers:
      - {type: gated, path: "%[1]s/gated/%[2]s", gate: "%[1]s/gate-%[2]s", flush_timeout: 4s}
`, r.dir, name))
	}
	gate := func(name string) string { return filepath.Join(r.dir, "gate-"+name) }
	one, two := config("w1"), config("w2")
	r.setup(t, one)
	open(t, gate("w1"))
	open(t, gate("w2"))
	s := &sleeper{rig: r, kafka: k, load: r.load(20), pod: r.pod(t, "program", "w1", one)}
	other := r.pod(t, "program", "w2", two)
	unwatch := k.watchOffsets(t)
	var again int
	for range rounds {
		s.works(t)
		if err := os.Remove(gate("w1")); err != nil {
			t.Fatal(err)
		}
		s.produce(t, 4*window*partitions)
		eventually(t, time.Minute, "w1 holds its window", func() bool { return s.pod.full(t, window) })
		again += s.sleepsTooLong(t, func() { open(t, gate("w1")) })

		s.works(t)
		again += s.sleepsTooLong(t, func() {})
	}
	unwatch()
	for _, p := range []*pod{s.pod, other} {
		p.terminate(t)
	}
	v := r.judgeOne(t, "gated", r.dir+"/gated", nil, (*ledger.Verdict).Kept)
	if v.Duplicates != again {
		t.Errorf("%d duplicates, the frozen worker made %d", v.Duplicates, again)
	}
	r.noDeadLetters(t)
}

// sleeper is a worker that is frozen again and again.
type sleeper struct {
	*pod
	rig   *rig
	kafka *kafka
	load  ledger.Load
}

func (s *sleeper) produce(t *testing.T, groups int) {
	t.Helper()
	s.load.Groups = groups
	s.rig.produce(t, s.load)
}

func (s *sleeper) flushed(t *testing.T) int {
	t.Helper()
	return lines(t, filepath.Join(s.rig.dir, "gated", s.name))
}

// works waits until the worker has partitions, takes its part, and all is done.
func (s *sleeper) works(t *testing.T) {
	t.Helper()
	s.kafka.settled(t, 2)
	seen := s.flushed(t)
	s.produce(t, 600)
	eventually(t, time.Minute, s.name+" flushes", func() bool { return s.flushed(t) > seen })
	s.kafka.drained(t, time.Minute)
}

// sleepsTooLong freezes the worker until another has its partitions and has
// delivered everything. It returns how many logs the worker flushed nevertheless.
func (s *sleeper) sleepsTooLong(t *testing.T, beforeItWakes func()) int {
	t.Helper()
	before, was, held := s.flushed(t), s.status(t), s.held(t)
	s.signal(syscall.SIGSTOP)
	s.produce(t, 600) // at once: a request may be waiting for it
	s.kafka.settled(t, 1)
	s.kafka.drained(t, time.Minute)
	committed := s.kafka.cluster.Committed(t, s.kafka.group, s.kafka.topic)
	beforeItWakes()
	s.signal(syscall.SIGCONT)

	s.kafka.settled(t, 2)
	s.serves(t)
	is := s.status(t)
	more := s.flushed(t) - before
	t.Logf("it held %d messages, of which it gave %d back and flushed %d logs", held, is.Sources[0].Released-was.Sources[0].Released, more)
	if most := held * int64(s.load.Logs); int64(more) > most {
		t.Errorf("it flushed %d logs and held at most %d", more, most)
	}
	if fetched := is.Sources[0].Messages - was.Sources[0].Messages; fetched != 0 {
		t.Errorf("it fetched %d messages", fetched)
	}
	for p, c := range s.kafka.cluster.Committed(t, s.kafka.group, s.kafka.topic) {
		if c.Offset != committed[p].Offset {
			t.Errorf("the offset of partition %d went from %d to %d", p, committed[p].Offset, c.Offset)
		}
	}
	return more
}
