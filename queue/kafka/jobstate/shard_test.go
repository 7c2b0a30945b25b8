package jobstate

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// read is what a partition comes to.
func read(log []wire.Record) *shard {
	s := new(shard)
	for i := range log {
		s.apply(&queue.Message{Key: log[i].Key, Value: log[i].Value, Position: int64(i)})
	}
	return s
}

// said is what of it anybody acts on.
func said(s *shard) string {
	return fmt.Sprintf("epoch %d of %s, free %v, checkpoint %q of %d", s.epoch, s.id, s.free, s.checkpoint, s.saved)
}

func TestTheOrderOfTheLogDecides(t *testing.T) {
	t.Parallel()
	claim := func(epoch int64, id string) wire.Record { return claimRecord(epoch, id, "somebody") }
	save := func(epoch int64, v string) wire.Record { return checkpointRecord(epoch, []byte(v)) }
	for name, c := range map[string]struct {
		log  []wire.Record
		want string
	}{
		"nothing":               {nil, `epoch 0 of , free false, checkpoint "" of 0`},
		"a holder":              {[]wire.Record{claim(1, "a"), save(1, "x"), save(1, "y")}, `epoch 1 of a, free false, checkpoint "y" of 1`},
		"one that let go":       {[]wire.Record{claim(1, "a"), save(1, "x"), beatRecord(1, true)}, `epoch 1 of a, free true, checkpoint "x" of 1`},
		"the first of an epoch": {[]wire.Record{claim(1, "a"), claim(1, "b"), save(1, "x")}, `epoch 1 of a, free false, checkpoint "x" of 1`},
		"an inherited checkpoint": {
			[]wire.Record{claim(1, "a"), save(1, "x"), beatRecord(1, true), claim(2, "b")}, `epoch 2 of b, free false, checkpoint "x" of 1`,
		},
		"a holder that was taken for dead": {
			[]wire.Record{claim(1, "a"), save(1, "x"), claim(2, "b"), save(2, "y"), save(1, "late"), beatRecord(1, true)}, `epoch 2 of b, free false, checkpoint "y" of 2`,
		},
		"a late claim of an old epoch": {[]wire.Record{claim(1, "a"), claim(2, "b"), claim(2, "c"), claim(1, "d")}, `epoch 2 of b, free false, checkpoint "" of 0`},
		"what nobody should write": {
			[]wire.Record{{Key: []byte("claim"), Value: []byte("{}")}, {Key: []byte("claim/x/y"), Value: []byte("{}")}, {Key: []byte("claim/9/y"), Value: []byte("no json")}, {Value: []byte("no key")}, {Key: []byte("checkpoint/-1"), Value: []byte("x")}},
			`epoch 0 of , free false, checkpoint "" of 0`,
		},
	} {
		if diff := cmp.Diff(c.want, said(read(c.log))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheNextHolderDeletesWhatIsOutdated(t *testing.T) {
	t.Parallel()
	log := []wire.Record{claimRecord(1, "a", "x"), claimRecord(1, "b", "y"), checkpointRecord(1, []byte("x")), beatRecord(1, false), claimRecord(2, "c", "z")}
	s := read(log)
	log = append(log, checkpointRecord(2, []byte("y")))
	log = append(log, s.outdated(2)...)
	s = read(log)
	if len(s.keys) != 2 || said(s) != `epoch 2 of c, free false, checkpoint "y" of 2` {
		t.Errorf("left are %v: %s", s.keys, said(s))
	}
}

// actor is a process that may have been taken for dead.
type actor struct {
	seen  *shard
	epoch int64
	id    string
}

// Whatever processes do that think they hold the shard, and wherever compaction has
// come to: everybody reads the same.
func TestCompactionChangesNothing(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		var log []wire.Record
		actors := make([]actor, 3)
		for n := range rapid.IntRange(0, 40).Draw(t, "steps") {
			count.Step()
			i := rapid.IntRange(0, len(actors)-1).Draw(t, "actor")
			a := &actors[i]
			switch what := rapid.IntRange(0, 4).Draw(t, "does"); {
			case what == 0: // looks, and claims now or later
				a.seen = read(log)
			case what == 1 && a.seen != nil:
				a.epoch, a.id, a.seen = a.seen.epoch+1, fmt.Sprint(n), nil
				log = append(log, claimRecord(a.epoch, a.id, "somebody"))
				if s := read(log); s.id != a.id { // it sees that it was not the first
					a.epoch = 0
				}
			case what == 2 && a.epoch > 0:
				log = append(log, checkpointRecord(a.epoch, fmt.Append(nil, n)))
				log = append(log, read(log).outdated(a.epoch)...)
			case what == 3 && a.epoch > 0:
				log = append(log, beatRecord(a.epoch, rapid.Bool().Draw(t, "lets go")))
			}
		}
		want := said(read(log))
		cleaned := rapid.IntRange(0, len(log)).Draw(t, "cleaned")
		if got := said(read(slices.Concat(compacted(log[:cleaned]), log[cleaned:]))); got != want {
			t.Fatalf("compacted up to %d it says %s, and whole %s", cleaned, got, want)
		}
	})
}

// compacted keeps the last record of each key, and of those that were deleted nothing.
func compacted(log []wire.Record) (left []wire.Record) {
	last := map[string]int{}
	for i := range log {
		last[string(log[i].Key)] = i
	}
	for i := range log {
		if last[string(log[i].Key)] == i && log[i].Value != nil {
			left = append(left, log[i])
		}
	}
	return left
}
