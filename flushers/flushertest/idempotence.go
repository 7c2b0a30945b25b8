package flushertest

import (
	"fmt"

	"github.com/flushline/flushline/flushers"
)

func idempotent(b *bench) string {
	if why := durable(b); why != "" {
		return why
	}
	if b.kind.Idempotence == flushers.None {
		return "the kind declares no idempotence: whatever is flushed again may be stored again"
	}
	return ""
}

// repeatsStoreNothing flushes again what is stored: the identical batch, which
// every idempotence knows, and for PerGroup and PerLog the same groups in other
// batches, from another instance, and after a kill.
func repeatsStoreNothing(b *bench) {
	batch := b.groups(4)
	l := b.begin()
	b.must(l, batch...)
	for n := 2; n <= 3; n++ {
		if err := b.flush(l, attempt{n: n}, batch...); err != nil {
			b.Fatalf("Flush of what is stored failed: %v", err)
		}
	}
	b.stored("the identical batch was flushed again", true, batch...)
	next := b.begin()
	b.must(next, batch...)
	b.stored("the identical batch was flushed again by another instance", true, batch...)
	if b.kind.Idempotence < flushers.PerGroup {
		return
	}
	fresh := b.groups(2)
	b.must(next, batch[2], fresh[0], batch[0])
	b.must(next, batch[1])
	b.must(next, fresh[0], batch[3], fresh[1], batch[1])
	b.stored("its groups were flushed again in other batches", true, append(fresh, batch...)...)

	killed := b.groups(3)
	if report := b.delegate(&task{Play: "die after nil"}, killed, "GOMAXPROCS=1"); len(report) != len(killed) {
		b.Fatalf("the process reported %v, want %d times that Flush returned nil", report, len(killed))
	}
	b.must(next, killed...)
	b.stored(fmt.Sprintf("%s promises no duplicates after a kill, and its groups were flushed again", b.kind.Idempotence), true, killed...)
}

func declaredAtomic(b *bench) string {
	switch {
	case !b.kind.Atomic:
		return "the kind does not declare Atomic: a failed Flush may have stored some groups"
	case b.to.Poison == nil && len(b.to.Answers) == 0:
		return "neither Target.Poison nor Target.Answers is given: nothing makes a Flush fail with an answer"
	}
	return ""
}

// failureWritesNothing looks for groups of batches that failed with an answer.
// What a broken connection left is not known to anybody.
func failureWritesNothing(b *bench) {
	for _, answer := range b.to.Answers {
		l, batch := b.begin(), b.groups(4)
		answer()
		err := b.flush(l, attempt{}, batch...)
		b.to.Heal()
		if err != nil {
			b.absent(batch...)
		}
	}
	if b.to.Poison == nil {
		return
	}
	for _, poisoned := range []int{0, 2, 3} {
		l, batch := b.begin(), b.groups(4)
		b.to.Poison(batch[poisoned].group)
		err := b.flush(l, attempt{}, batch...)
		if err != nil {
			b.absent(batch...)
		}
	}
}
