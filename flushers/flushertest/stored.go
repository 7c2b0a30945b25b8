package flushertest

import (
	"time"

	"github.com/flushline/flushline/flushers"
)

// durable is for properties of kinds whose nil means stored.
func durable(b *bench) string {
	if b.kind.Durability == flushers.Enqueued {
		return "the kind is Enqueued, so that nil promises nothing before Stop"
	}
	return ""
}

func nilMeansStored(b *bench) {
	l := b.begin()
	l.becomesReady("after Init")
	for n := range 5 {
		batch := b.groups(n + 1)
		b.must(l, batch...)
		b.nowStored("right after Flush returned nil", true, batch...)
	}
	if plain := b.flushPlain(l); plain != nil {
		b.nowStored("right after Flush without FlushBatch returned nil", true, plain)
	}
}

// flushPlain calls Flush of a kind whose FlushBatch the worker calls: other
// callers have the interface, too.
func (b *bench) flushPlain(l *life) *sample {
	if l.batcher == nil || b.kind.Raw {
		return nil
	}
	plain := *l
	plain.batcher = nil
	s := b.group(2)
	b.must(&plain, s)
	return s
}

func nilWhileBroken(b *bench) {
	for _, trouble := range []struct {
		name  string
		begin func()
	}{{"broken", b.to.Break}, {"hanging", b.to.hang}} {
		l := b.begin()
		b.must(l, b.group(1))
		trouble.begin()
		var taken []*sample
		for n := range 3 {
			s := b.group(1)
			if b.flush(l, attempt{n: 1, timeout: time.Second}, s) == nil {
				taken = append(taken, s)
			}
			if n == 0 && l.batcher == nil {
				break // its context has ended
			}
		}
		b.to.Heal()
		b.nowStored("Flush returned nil while the destination was "+trouble.name, false, taken...)
	}
}
