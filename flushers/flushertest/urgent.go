package flushertest

import "time"

// urgentBothWays flushes under every order of the two words that the worker says:
// true when the process ends, false when the instance is idle or replaced.
func urgentBothWays(b *bench) {
	for _, flags := range [][]bool{{true}, {false}, {true, true, false}, {false, true}} {
		l := b.begin()
		before := b.group(2)
		b.must(l, before)
		all := []*sample{before}
		for _, flag := range flags {
			l.setUrgent(flag)
			l.becomesReady("after SetUrgent")
			s := b.group(2)
			began := time.Now()
			b.must(l, s)
			if took := time.Since(began); took > otherLimit {
				b.Errorf("a Flush after SetUrgent(%t) took %s, want it to wait for nothing", flag, took)
			}
			all = append(all, s)
			b.nowStored("Flush returned nil after SetUrgent", true, s)
		}
		l.mustStop()
		b.stored("after SetUrgent and Stop", true, all...)
	}
}
