package flushertest

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/flushline/flushline/flushers"
)

func errorsHaveClasses(b *bench) {
	l := b.begin()
	b.must(l, b.group(1))
	b.to.Break()
	s := b.group(1)
	err := b.flush(l, attempt{timeout: 3 * time.Second}, s)
	b.triesAgain("the destination cannot be reached", err)
	b.to.Heal()
	b.recovers(s)
	for _, class := range slices.Sorted(maps.Keys(b.to.Answers)) {
		b.answersWith(class)
	}
}

// triesAgain fails for an error that would cost data, or half a minute, although
// nothing but time is needed.
func (b *bench) triesAgain(why string, err error) {
	b.Helper()
	class := classOf(err, 0)
	if err != nil && class != flushers.ClassRetry && class != flushers.ClassRetryAfter && class != flushers.ClassTimeout {
		b.Errorf("%s, and Flush returned an error of class %s, want one that is tried again: %v", why, class, err)
	}
}

// recovers delivers a sample with a fresh instance.
func (b *bench) recovers(s *sample) {
	b.Helper()
	if dead := b.deliver(b.begin(), s); len(dead) > 0 {
		b.Errorf("what could not be stored before is refused for good although the destination is well")
		return
	}
	b.nowStored("after the destination was healed", false, s)
}

func (b *bench) answersWith(class flushers.Class) {
	b.Helper()
	l, s := b.begin(), b.group(1)
	b.to.Answers[class]()
	err := b.flush(l, attempt{}, s)
	if got := classOf(err, 0); got != class {
		b.Errorf("the destination answers so that class %s is needed, and Flush returned class %s: %v", class, got, err)
	}
	b.to.Heal()
	if b.kind.Atomic {
		b.absent(s)
	}
	b.recovers(s)
}

func poisonable(b *bench) string {
	if why := durable(b); why != "" {
		return why
	}
	if b.to.Poison == nil {
		return "Target.Poison is not given: the destination refuses no group for what it holds"
	}
	return ""
}

func partialFailure(b *bench) {
	for _, poisoned := range [][]int{{2}, {0}, {4}, {0, 1, 3}, {0, 1, 2, 3, 4}} {
		l, batch := b.begin(), b.groups(5)
		var bad []*sample
		for _, i := range poisoned {
			b.to.Poison(batch[i].group)
			bad = append(bad, batch[i])
		}
		good := without(batch, bad)
		err := b.flush(l, attempt{}, batch...)
		b.keepsItsWord(batch, err)
		dead := append(deadOf(batch, err), b.deliver(l, rest(batch, err)...)...)
		if lost := without(dead, bad); len(lost) > 0 {
			b.Errorf("%d groups are refused for good, the first is group %d, which has nothing wrong: only %v are poisoned",
				len(dead), slices.Index(batch, lost[0]), poisoned)
		}
		if taken := without(bad, dead); len(taken) > 0 {
			b.Errorf("group %d is poisoned, and Flush said that it is stored", slices.Index(batch, taken[0]))
		}
		b.stored("beside a poisoned group", b.kind.Idempotence >= flushers.PerGroup, good...)
	}
}

// keepsItsWord checks what a failed Flush said of its groups against what is
// stored at this moment.
func (b *bench) keepsItsWord(batch []*sample, err error) {
	b.Helper()
	var partial *flushers.PartialError
	switch {
	case err == nil:
		b.Errorf("Flush returned nil for a batch with a poisoned group")
	case errors.As(err, &partial):
		for i, s := range batch {
			if partial.Failed[i] == nil {
				b.stored("a PartialError does not name the group", true, s)
			}
		}
		if b.kind.Atomic {
			b.Errorf("the kind declares Atomic, and a PartialError says that groups of a failed Flush are stored")
		}
	case b.kind.Atomic:
		b.absent(batch...)
	}
}

func deadOf(batch []*sample, err error) []*sample {
	dead, _, _ := verdict(batch, err)
	return dead
}

// rest is what the worker would flush after a result, in order.
func rest(batch []*sample, err error) []*sample {
	_, again, halves := verdict(batch, err)
	for _, h := range halves {
		again = append(again, h...)
	}
	return again
}
