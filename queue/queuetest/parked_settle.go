package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/queue"
)

func unsettledComesAgain(b *parkedBench) {
	r := b.serving("a", 20, queue.GateOpen, holding)
	r.holds(20)
	r.stop() // which gives them back
	b.parked(r.of, 20)
	b.serve(b.open(false), limit, gate(queue.GateOpen, "a")).drains("a", 20)
}

func acknowledgedIsGone(b *parkedBench) {
	p := b.open(false)
	b.park(p, "a", 40)
	b.park(p, "shut", 10)
	b.park(p, "a", 10) // above what stays
	r := b.serve(p, limit, gate(queue.GateOpen, "a"))
	r.took("a", 50)
	b.parked(p, 10)
	r.stop()
	again := b.serve(b.open(false), limit, gate(queue.GateOpen, "a", "shut"))
	again.drains("shut", 10)
	if n := len(again.Took(parkedLane("a"))); n > 0 {
		b.Errorf("%d records came again", n)
	}
}

func deploymentsAreApart(b *parkedBench) {
	ours, theirs := b.open(false), b.open(true)
	b.parkOf(ours, false, "a", 20)
	b.parkOf(theirs, true, "a", 30)
	r := b.serve(ours, limit, gate(queue.GateOpen, "a"))
	r.drains("a", 20)
	b.parked(theirs, 30)
	if n := len(r.Took(parkedLane("a"))); n != 20 {
		b.Errorf("the first deployment took %d records, want its 20", n)
	}
	b.serve(theirs, limit, gate(queue.GateOpen, "a")).drains("a", 30)
}

func backlogSaysWhatIsParked(b *parkedBench) {
	p := b.open(false)
	if lanes, err := p.Lanes(b.Context()); err != nil || len(lanes) > 0 {
		b.Errorf("nothing is parked, and it says %v, %v", lanes, err)
	}
	before := time.Now()
	b.park(p, "b", 7)
	b.park(p, "a", 5)
	b.park(p, "b", 3)
	b.parked(p, 15)
	lanes, all := b.backlog(p)
	if !slices.IsSortedFunc(all, func(x, y queue.Backlog) int {
		if x.Lane == y.Lane {
			return 0
		}
		if x.Lane.String() < y.Lane.String() {
			return -1
		}
		return 1
	}) {
		b.Errorf("the lanes are not in order: %+v", all)
	}
	for _, l := range all {
		if l.Lane.Route != "shop" || l.Lane.Flusher != "es" || l.Place == "" || l.Bytes < 0 {
			b.Errorf("a lane is %+v", l)
		}
		if !l.Oldest.IsZero() && l.Oldest.Before(before.Add(-time.Minute)) || l.Oldest.After(time.Now().Add(time.Minute)) {
			b.Errorf("the oldest of %s is of %s, and it was parked at %s", l.Place, l.Oldest, before)
		}
	}
	if !b.h.ByPartition && (lanes["a"] != 5 || lanes["b"] != 10) {
		b.Errorf("the lanes hold %v, want 5 and 10", lanes)
	}
	r := b.serve(p, limit, gate(queue.GateOpen, "a"))
	r.took("a", 5)
	b.parked(p, 10)
	r.opens("b")
	r.drains("b", 10)
}

func parkedBudget(b *parkedBench) {
	const budget, records = 2048 * kib, 96 // beyond a batch of Kafka, which comes whole
	p := b.open(false)
	var ms []queue.Message
	for i := range records {
		ms = append(ms, b.record(false, "a", fmt.Sprintf("r%02d", i), 64*kib))
	}
	b.put(p, ms...)
	r := b.serve(p, budget, gate(queue.GateOpen, "a"), holding)
	r.holds(1)
	for n := 0; n < records; { // each is taken, and makes room for others
		r.read("a", func(l *workerLane) {
			for _, d := range l.out {
				l.take(d)
				d.Free()
			}
			l.out = nil
			n = len(l.took)
		})
		b.eventually(func() error {
			if n < records && r.held() == 0 {
				return fmt.Errorf("%d of %d came, and no more", n, records)
			}
			return nil
		})
	}
	r.stop()
	if u := r.Usage(); u.Peak > budget+budget/2 {
		b.Errorf("%d bytes were in use at once, of a budget of %d", u.Peak, budget)
	}
}
