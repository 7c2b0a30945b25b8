package queuetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/flushline/flushline/queue"
)

func shutLetsNothingOut(b *parkedBench) {
	p := b.open(false)
	b.park(p, "shut", 20)
	r := b.serve(p, limit)
	r.others("open")
	r.others("other")
	r.read("shut", func(l *workerLane) {
		if len(l.took) > 0 || l.asked == 0 {
			b.Errorf("the shut lane took %d records and was asked %d times", len(l.took), l.asked)
		}
	})
	b.parked(p, 20)
	r.opens("shut")
	r.took("shut", 20)
	b.parked(p, 0)
	r.stop()
}

func unknownStays(b *parkedBench) {
	p := b.open(false)
	b.park(p, "unknown", 10)
	r := b.serve(p, limit, gate(queue.GateUnknown, "unknown"))
	r.others("open")
	if n := len(r.Took(parkedLane("unknown"))); n > 0 {
		b.Errorf("%d records were handed out for a lane that nobody has", n)
	}
	b.parked(p, 10)
	r.stop()
	r = b.serve(b.open(false), limit, gate(queue.GateOpen, "unknown")) // the route is back
	r.took("unknown", 10)
	b.parked(p, 0)
	r.stop()
}

func probeIsOneAtATime(b *parkedBench) {
	p := b.open(false)
	b.park(p, "a", 10)
	r := b.serve(p, limit, gate(queue.GateProbe, "a"), holding)
	b.eventually(func() error {
		if n := r.held(); n != 1 {
			return fmt.Errorf("%d records are out, want one", n)
		}
		return nil
	})
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
	p := b.open(false)
	b.park(p, "a", 300)
	r := b.serve(p, limit, gate(queue.GateOpen, "a"), holding)
	b.eventually(func() error {
		if n := r.held(); n < 128 {
			return fmt.Errorf("%d records are out at once", n)
		}
		return nil
	})
	r.Release(parkedLane("a"))
	for name, n := range namesOf(r.took("a", 300)) {
		if n != 1 {
			b.Errorf("%s came %d times", name, n)
		}
	}
	b.parked(p, 0)
	r.stop()
}

func deferredStays(b *parkedBench) {
	p := b.open(false)
	b.park(p, "a", 1)
	r := b.serve(p, limit, gate(queue.GateProbe, "a"), dead("a"))
	b.eventually(func() error {
		var n int
		r.read("a", func(l *workerLane) { n = len(l.tries) })
		if n < 3 {
			return fmt.Errorf("it was tried %d times", n)
		}
		return nil
	})
	b.parked(p, 1)
	r.read("a", func(l *workerLane) {
		for i := 1; i < len(l.tries); i++ {
			if gap := l.tries[i].Sub(l.tries[i-1]); gap < 900*time.Millisecond {
				b.Errorf("try %d came %s behind the one before", i+1, gap)
			}
		}
	})
	r.Release(parkedLane("a"))
	r.opens("a")
	r.took("a", 1)
	b.parked(p, 0)
	r.stop()
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
	p := b.open(false)
	b.park(p, "a", 10)
	r := b.serve(p, limit, gate(queue.GateOpen, "a"), holding)
	b.eventually(func() error {
		if r.held() == 0 {
			return errors.New("nothing is out")
		}
		return nil
	})
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
