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

// A worker is frozen with messages that it could flush at once, and wakes after its
// partitions have moved and all was delivered by another: it fetches nothing, moves
// no offset, and flushes nothing but what it held, until the group tells it.
func TestAFrozenWorkerWakesTooLateOnKafka(t *testing.T) {
	const window = 50
	rounds := size(1, 5)
	r, k := newKafkaRig(t)
	config := func(name string) string {
		return r.write(t, name, window, fmt.Sprintf(`
  - name: all
    flushers:
      - {type: gated, path: "%[1]s/gated/%[2]s", gate: "%[1]s/gate-%[2]s", flush_timeout: 4s}
`, r.dir, name))
	}
	gate := func(name string) string { return filepath.Join(r.dir, "gate-"+name) }
	flushed := func(name string) int { return lines(t, filepath.Join(r.dir, "gated", name)) }
	one, two := config("w1"), config("w2")
	r.setup(t, one)
	open(t, gate("w1"))
	open(t, gate("w2"))
	frozen, other := r.pod(t, "program", "w1", one), r.pod(t, "program", "w2", two)
	load := r.load(20)
	unwatch := k.watchOffsets(t)
	var again int
	for range rounds {
		k.settled(t, 2)
		seen := flushed("w1")
		load.Groups = 600
		r.produce(t, load)
		eventually(t, time.Minute, "w1 flushes", func() bool { return flushed("w1") > seen })
		k.drained(t, time.Minute)

		if err := os.Remove(gate("w1")); err != nil {
			t.Fatal(err)
		}
		load.Groups = 4 * window * partitions
		r.produce(t, load)
		eventually(t, time.Minute, "w1 holds its window", func() bool { return frozen.full(t, window) })
		before, was, held := flushed("w1"), frozen.status(t), frozen.held(t)
		frozen.signal(syscall.SIGSTOP)
		k.settled(t, 1)
		k.drained(t, time.Minute)
		load.Groups = 600 // what it would fetch if it went on where it was
		r.produce(t, load)
		k.drained(t, time.Minute)
		committed := k.cluster.Committed(t, k.group, k.topic)
		open(t, gate("w1"))
		frozen.signal(syscall.SIGCONT)

		k.settled(t, 2)
		frozen.serves(t)
		is := frozen.status(t)
		more := flushed("w1") - before
		again += more
		t.Logf("it held %d messages, of which it gave %d back and flushed %d logs", held, is.Sources[0].Released-was.Sources[0].Released, more)
		if most := held * int64(load.Logs); int64(more) > most {
			t.Errorf("it flushed %d logs and held at most %d", more, most)
		}
		if fetched := is.Sources[0].Messages - was.Sources[0].Messages; fetched != 0 {
			t.Errorf("it fetched %d messages", fetched)
		}
		for p, c := range k.cluster.Committed(t, k.group, k.topic) {
			if c.Offset != committed[p].Offset {
				t.Errorf("the offset of partition %d went from %d to %d", p, committed[p].Offset, c.Offset)
			}
		}
	}
	unwatch()
	for _, p := range []*pod{frozen, other} {
		p.terminate(t)
	}
	v := r.judgeOne(t, "gated", r.dir+"/gated", nil, (*ledger.Verdict).Kept)
	if v.Duplicates != again {
		t.Errorf("%d duplicates, the frozen worker made %d", v.Duplicates, again)
	}
	r.noDeadLetters(t)
}
