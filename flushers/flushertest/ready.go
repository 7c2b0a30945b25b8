package flushertest

import (
	"time"
)

func becomesReadyAgain(b *bench) {
	l := b.begin()
	l.becomesReady("after Init")
	b.must(l, b.group(1))
	b.to.Break()
	s := b.group(1)
	for range 3 { // the worker asks before each Flush
		b.asksQuickly(l, "while the destination is broken")
		if !l.ready() {
			break
		}
		_ = b.flush(l, attempt{timeout: 3 * time.Second}, s)
		if l.batcher == nil && l.runtime.Err() != nil {
			l = b.begin() // the call before was abandoned
		}
	}
	b.to.Heal()
	l.becomesReady("after the destination was healed")
	if dead := b.deliver(l, s); len(dead) > 0 {
		b.Errorf("what could not be stored before is refused for good although the destination is well")
	}
}

// asksQuickly fails if three calls of IsReady in a row take longer than counts as
// an answer.
func (b *bench) asksQuickly(l *life, when string) {
	b.Helper()
	var took time.Duration
	for range 3 {
		began := time.Now()
		l.ready()
		if took = time.Since(began); took < readyLimit {
			return
		}
	}
	b.Errorf("%s: IsReady takes %s; it must neither dial nor wait, and slower than %s counts as false", when, took, readyLimit)
}
