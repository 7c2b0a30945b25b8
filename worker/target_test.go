package worker

import (
	"context"
	"testing"
	"unsafe"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// routing is a strand that serves nothing, of a worker whose one route takes all.
func routing(t *testing.T) *strand {
	t.Helper()
	entry := Entry{Name: "x", New: func() flushers.Flusher { return nil }}
	w, err := New(Config{Routes: []Route{{Name: "a", Flushers: []Entry{entry}}}})
	if err != nil {
		t.Fatal(err)
	}
	return &strand{w: w, table: w.table.Load(), targets: newTargets(), source: &source{}}
}

// A strand that finds the target of another key under the hash of its own makes one.
func TestTargetsOfOneHash(t *testing.T) {
	t.Parallel()
	s := routing(t)
	a, b := protocol.Key{Project: "p", Logstore: "a", Config: "c"}, protocol.Key{Project: "p", Logstore: "b", Config: "c"}
	of := s.target(&a)
	if s.target(&a) != of {
		t.Error("a key that is known has another target")
	}
	s.targets.of[s.targets.hash(&b)] = of
	if got := s.target(&b); got == of || got.key.key() != b {
		t.Errorf("the groups of %s go where those of %s do", b, got.key.key())
	}
}

// A packed key is that key, and no other whose fields are one text together.
func TestPackedKeys(t *testing.T) {
	t.Parallel()
	keys := []protocol.Key{
		{Project: "a", Logstore: "b", Config: "c"},
		{Project: "ab", Logstore: "c"},
		{Project: "a", Logstore: "bc"},
		{Project: "abc"},
		{Logstore: "abc"},
		{Config: "abc"},
		{Project: "a", Config: "bc"},
		{Logstore: "ab", Config: "c"},
		{},
		{Project: "a", Logstore: "b", Config: "cd"},
		{Project: "a", Logstore: "b", Config: "x"},
	}
	for i := range keys {
		k := pack(&keys[i])
		if k.key() != keys[i] {
			t.Errorf("%+v became %+v", keys[i], k.key())
		}
		for j := range keys {
			if k.is(&keys[j]) != (i == j) {
				t.Errorf("%+v is %+v: %v", keys[i], keys[j], i != j)
			}
		}
	}
}

// A route may have several flushers, of which some are left out.
func TestTargetsOfSeveralFlushers(t *testing.T) {
	t.Parallel()
	entries := []*entry{{flusher: "x"}, {flusher: "y"}, {flusher: "z"}}
	tb := &table{routes: []*route{{name: "a", entries: entries}}}
	key := protocol.Key{Project: "p", Logstore: "l", Config: "c"}
	for flusher, want := range map[string]int{"": 3, "y": 1, "other": 0} {
		got := tb.target(&key, &selection{flusher: flusher})
		if got.slots() != want || (got.route == leftOut) != (want == 0) {
			t.Errorf("only %q: %d slots of route %+v", flusher, got.slots(), got.route)
		}
		for i := range got.slots() {
			if e := got.slot(i).entry; flusher == "" && e != entries[i] || flusher != "" && e.flusher != flusher {
				t.Errorf("only %q: slot %d is of %s", flusher, i, e.flusher)
			}
		}
	}
}

// What is staged reaches its lane in order, also if the target is forgotten meanwhile.
func TestWhatIsStagedOutlivesItsTarget(t *testing.T) {
	t.Parallel()
	s := routing(t)
	key := protocol.Key{Project: "p", Logstore: "l", Config: "c"}
	m := &message{d: &queue.Delivery{}, strand: s}
	first := s.target(&key)
	for range 2 {
		s.stage(first, &first.first, m.newPart(nil, 0))
	}
	clear(s.targets.of)
	second := s.target(&key)
	s.stage(second, &second.first, m.newPart(nil, 0))

	l := s.w.lane(first.first.entry, key)
	l.scheduled = true // it queues what comes, and nobody runs it
	s.offer(context.Background())
	if l.live.n != m.parts {
		t.Fatalf("the lane has %d parts", l.live.n)
	}
	for i, p := 0, l.live.head; p != nil; i, p = i+1, p.next {
		if p != m.part(i) {
			t.Errorf("part %d is not at its place", i)
		}
	}
	for _, of := range []*target{first, second} {
		if of.first.lane != l || of.first.staged != 0 {
			t.Errorf("afterwards the target is %+v", of)
		}
	}
}

// Ten thousand lanes are idle most of the time. What goes beyond these sizes costs a
// class of the allocator more, for each of them and each strand it comes through.
func TestIdleLanesAreSmall(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ size, most uintptr }{
		"lane":     {unsafe.Sizeof(lane{}), 768},
		"instance": {unsafe.Sizeof(instance{}), 192},
		"target":   {unsafe.Sizeof(target{}), 64},
	} {
		if c.size > c.most {
			t.Errorf("%s has %d bytes, more than %d", name, c.size, c.most)
		}
	}
}
