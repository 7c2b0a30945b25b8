package flushertest

import (
	"slices"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// The deadlines of the worker. What a kind has to do within one of them gets
// busyMachine more here.
const (
	initLimit    = 30 * time.Second
	otherLimit   = 5 * time.Second
	flushLimit   = 20 * time.Second
	flushGrace   = time.Second     // of a call whose context has ended
	readyLimit   = time.Second     // slower counts as false
	readyAgain   = 5 * time.Second // after the destination is well
	busyMachine  = 2 * time.Second
	settledAfter = 30 * time.Second // tries of a batch whose destination is well
)

// bench is one property's destination, and what was flushed to it.
type bench struct {
	*testing.T
	*maker
	kind flushers.Kind
	to   Target
	key  protocol.Key
	logs map[string]*protocol.Log      // by id, whatever came of it
	of   map[string]*protocol.LogGroup // the groups of the logs
}

func newBench(t *testing.T, kind flushers.Kind, h *Harness) *bench {
	t.Helper()
	if h.Start == nil {
		t.Fatal("Harness.Start is missing: there is no destination to test against")
	}
	b := &bench{
		T: t, maker: newMaker(), kind: kind, to: h.Start(t),
		key:  protocol.Key{Project: "suite", Logstore: "conformance", Config: "c1"},
		logs: map[string]*protocol.Log{}, of: map[string]*protocol.LogGroup{},
	}
	b.kind = as(kind, b.options(nil))
	if b.to.Stored == nil {
		t.Fatal("Target.Stored is missing: nothing can be proven without a look at what is stored")
	}
	return b
}

// breakable is what most properties need.
func breakable(b *bench) string {
	if b.to.Break == nil || b.to.Heal == nil {
		b.Fatal("Target.Break and Target.Heal are missing; for a destination that cannot be broken, say so in Harness.Except")
	}
	return ""
}

// options are the Target's, with others laid over them.
func (b *bench) options(over map[string]any) *option.Node {
	all := map[string]any{}
	for _, m := range []map[string]any{b.to.Options, over} { // later ones win
		for k, v := range m {
			all[k] = v
		}
	}
	return option.FromAny(all)
}

// know lets look find the logs of samples that are about to be flushed.
func (b *bench) know(samples []*sample) {
	for _, s := range samples {
		for i, id := range s.logs {
			b.logs[id], b.of[id] = s.group.Logs[i], s.group
		}
	}
}

// look is how often each log is stored. A record that nobody flushed, or that is
// not what was flushed, fails the test.
func (b *bench) look() map[string]int {
	b.Helper()
	records, err := b.to.Stored()
	if err != nil {
		b.Fatalf("what is stored cannot be read: %v", err)
	}
	counts := map[string]int{}
	for i := range records {
		id := records[i].Fields[idField]
		l := b.logs[id]
		if l == nil {
			b.Errorf("a record is stored that nobody flushed: %.300q: was the memory of a batch read after Flush returned?", records[i].Fields)
			continue
		}
		counts[id]++
		if what := differs(b.keeps(id).Fields, records[i].Fields); what != "" {
			b.Errorf("the log %s is stored otherwise than it was flushed: %s", id, what)
		}
	}
	return counts
}

func (b *bench) keeps(id string) Record {
	if b.to.Keeps != nil {
		return b.to.Keeps(b.of[id], b.logs[id])
	}
	return Record{Time: timeOf(b.logs[id]), Fields: fieldsOf(b.logs[id])}
}

// stored fails unless each log of the samples is stored: once, or at least once
// where a Flush before may have stored it, too.
func (b *bench) stored(when string, once bool, samples ...*sample) {
	b.Helper()
	counts := b.look()
	for _, s := range samples {
		for _, id := range s.logs {
			switch n := counts[id]; {
			case n == 0:
				b.Errorf("%s: the log %s is not stored", when, id)
			case n > 1 && once:
				b.Errorf("%s: the log %s is stored %d times, want once", when, id, n)
			}
		}
	}
}

// nowStored is stored for what holds before Stop, which is nothing for a kind that
// only enqueues.
func (b *bench) nowStored(when string, once bool, samples ...*sample) {
	b.Helper()
	if durable(b) == "" {
		b.stored(when, once, samples...)
	}
}

// absent fails if a log of the samples is stored, which an atomic kind said they are not.
func (b *bench) absent(samples ...*sample) {
	b.Helper()
	counts := b.look()
	for _, s := range samples {
		for _, id := range s.logs {
			if counts[id] > 0 {
				b.Errorf("Flush of an atomic kind failed, and the log %s is stored", id)
			}
		}
	}
}

// without are the samples that are not among others.
func without(samples, others []*sample) []*sample {
	return slices.DeleteFunc(slices.Clone(samples), func(s *sample) bool { return slices.Contains(others, s) })
}
