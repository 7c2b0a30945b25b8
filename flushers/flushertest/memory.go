package flushertest

import "time"

// lateReads is the chance of what still reads a batch to store what it finds there.
const lateReads = time.Second

// memoryIsLeftAlone flushes in the ways after which something may still hold a
// batch, each overwritten as soon as its call returned: one that succeeded, one
// that failed, one whose context ended.
func memoryIsLeftAlone(b *bench) {
	l := b.begin()
	stored := b.groups(3)
	for _, s := range stored {
		b.must(l, s)
	}
	for _, trouble := range []func(){b.to.Break, b.to.hang} {
		failed := b.group(2)
		trouble()
		_ = b.flush(l, attempt{timeout: time.Second}, failed)
		b.to.Heal()
		if l.runtime.Err() != nil {
			l = b.begin() // the call was abandoned
		}
		after := b.group(2)
		b.deliver(l, after)
		b.deliver(l, failed)
	}
	l.setUrgent(true)
	l.mustStop()
	time.Sleep(lateReads)
	b.stored("after other batches", true, stored...)
}
