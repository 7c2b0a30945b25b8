package queuetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/flushline/flushline/queue"
)

func shutLetsNothingOut(b *parkedBench) {
	r := b.serving("shut", 20, queue.GateShut)
	r.others("open")
	r.others("other")
	r.read("shut", func(l *workerLane) {
		if len(l.took) > 0 || l.asked == 0 {
			b.Errorf("the shut lane took %d records and was asked %d times", len(l.took), l.asked)
		}
	})
	b.parked(r.of, 20)
	r.opens("shut")
	r.drains("shut", 20)
}

func unknownStays(b *parkedBench) {
	r := b.serving("unknown", 10, queue.GateUnknown)
	r.others("open")
	if n := len(r.Took(parkedLane("unknown"))); n > 0 {
		b.Errorf("%d records were handed out for a lane that nobody has", n)
	}
	b.parked(r.of, 10)
	r.stop()
	b.serve(b.open(false), limit, gate(queue.GateOpen, "unknown")).drains("unknown", 10) // the route is back
}

func probeIsOneAtATime(b *parkedBench) {
	r := b.serving("a", 10, queue.GateProbe, holding)
	r.holds(1)
	if !b.h.ByPartition { // there a sweep waits for the try before it reads on
		r.others("open")
	}
	r.of.Look(parkedLane("a"))
	if n := r.held(); n != 1 {
		b.Errorf("%d records are out at once", n)
	}
	r.Release(parkedLane("a"))
	r.took("a", 10) // one after the other, without a pause
	r.stop()
}

func openLetsOutAll(b *parkedBench) {
	r := b.serving("a", 300, queue.GateOpen, holding)
	r.holds(128)
	r.Release(parkedLane("a"))
	for name, n := range namesOf(r.drains("a", 300)) {
		if n != 1 {
			b.Errorf("%s came %d times", name, n)
		}
	}
}

func deferredStays(b *parkedBench) {
	r := b.serving("a", 1, queue.GateProbe, dead("a"))
	b.eventually(func() error {
		var n int
		r.read("a", func(l *workerLane) { n = len(l.tries) })
		if n < 3 {
			return fmt.Errorf("it was tried %d times", n)
		}
		return nil
	})
	b.parked(r.of, 1)
	r.read("a", func(l *workerLane) {
		for i := 1; i < len(l.tries); i++ {
			if gap := l.tries[i].Sub(l.tries[i-1]); gap < 900*time.Millisecond {
				b.Errorf("try %d came %s behind the one before", i+1, gap)
			}
		}
	})
	r.Release(parkedLane("a"))
	r.opens("a")
	r.drains("a", 1)
	if n := len(r.Took(parkedLane("a"))); n != 1 {
		b.Errorf("the record was taken %d times", n)
	}
}

func hintNeverBlocks(b *parkedBench) {
	p := b.open(false)
	b.park(p, "a", 5)
	hints := func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 5000 {
				p.Look(parkedLane("a"))
			}
		}()
		select {
		case <-done:
		case <-time.After(b.h.Patience):
			b.Fatal("hints block")
		}
	}
	hints() // nobody listens
	r := b.serve(p, limit)
	hints()
	r.opens("a")
	hints()
	r.took("a", 5)
	r.stop()
	hints()
}

func stopEndsParkedStrands(b *parkedBench) {
	r := b.serving("a", 10, queue.GateOpen, holding)
	r.holds(1)
	r.stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) == 0 {
		b.Error("no strand ended")
	}
	for _, err := range r.ends {
		var end *queue.End
		if !errors.As(err, &end) {
			b.Errorf("a strand ended by %v", err)
		}
	}
}
