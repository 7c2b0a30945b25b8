package flushertest

import (
	"fmt"
	"sync"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

const lanesAtATime, flushesEach = 8, 5

// flushesAtATime runs as many calls of one lane as Concurrent allows, and one each
// of several lanes of a process, which is what every worker does.
func flushesAtATime(b *bench) {
	l := b.begin()
	calls := 1
	if c, ok := l.f.(flushers.Concurrent); ok {
		calls = min(max(c.Concurrent(), 1), 64)
	}
	var turns []*life
	for range calls {
		turns = append(turns, l)
	}
	b.flushTogether(fmt.Sprintf("%d calls of one lane at a time", calls), turns)
	p := new(Process)
	var lanes []*life
	for n := range lanesAtATime {
		lanes = append(lanes, b.beginIn(p, protocol.Key{Project: b.key.Project, Logstore: fmt.Sprint("lane", n), Config: b.key.Config}))
	}
	b.flushTogether(fmt.Sprintf("%d lanes of a process at a time", lanesAtATime), lanes)
}

func (b *bench) flushTogether(what string, lanes []*life) {
	b.Helper()
	work := make([][]*sample, len(lanes))
	var all []*sample
	for i := range work {
		work[i] = b.groups(flushesEach)
		all = append(all, work[i]...)
	}
	b.know(all)
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, l := range lanes {
		wg.Go(func() {
			for _, s := range work[i] {
				if errs[i] == nil {
					errs[i] = b.flushOne(l, s)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatalf("%s: Flush failed although the destination is well: %v", what, err)
		}
	}
	b.nowStored(what, true, all...)
}

// flushOne is flush for several goroutines: the bench is not touched.
func (b *bench) flushOne(l *life, s *sample) error {
	m, err := lay([]*sample{s})
	if err != nil {
		return err
	}
	broken, err := l.flush(m, attempt{})
	if broken != nil {
		return broken
	}
	m.overwrite(b.kind.NoRetain)
	return err
}

// twoOfOneKey is what happens while an abandoned call has not returned.
func twoOfOneKey(b *bench) {
	p := new(Process)
	one, two := b.beginIn(p, b.key), b.beginIn(p, b.key)
	batch := b.groups(4)
	b.must(one, batch[0])
	b.must(two, batch[1])
	one.setUrgent(false)
	one.mustStop()
	two.becomesReady("after the other instance of the key was stopped")
	b.must(two, batch[2])
	three := b.beginIn(p, b.key)
	b.must(three, batch[3])
	two.mustStop()
	three.mustStop()
	b.stored("two instances of one key flushed", true, batch...)
}

// successorOfAHangingOne begins an instance while a call of another is inside.
func successorOfAHangingOne(b *bench) {
	p := new(Process)
	one := b.beginIn(p, b.key)
	b.must(one, b.group(1))
	stuck, next := b.group(1), b.group(1)
	b.know([]*sample{stuck})
	b.to.hang()
	done := make(chan error, 1)
	go func() { done <- b.flushOne(one, stuck) }()
	time.Sleep(100 * time.Millisecond) // the call should be inside; if not, less is shown
	two := b.beginIn(p, b.key)
	b.to.Heal()
	if dead := b.deliver(two, next); len(dead) > 0 {
		b.Error("a group is refused for good although the destination is well")
	}
	one.cancel()
	if err := <-done; err == nil {
		b.nowStored("a late Flush returned nil", false, stuck)
	}
	one.setUrgent(false)
	_ = one.stop()
	b.nowStored("the successor of a hanging instance flushed", false, next)
	again := b.group(1)
	b.deliver(two, again)
	two.mustStop()
	b.stored("after the hanging instance was stopped", false, next, again)
}
