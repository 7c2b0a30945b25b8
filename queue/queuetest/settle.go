package queuetest

import (
	"math/rand/v2"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

func releaseRedelivers(b *bench) {
	b.publish(30, 100)
	c := b.start(limit)
	ack(c.collect(30)[:10]...)
	c.stop()
	b.pendingBecomes(20)
	c = b.start(limit)
	ds := c.collect(20)
	if diff := cmp.Diff(expected(30)[10:], names(ds)); diff != "" {
		b.Errorf("second run (-want +got):\n%s", diff)
	}
	for _, d := range ds {
		if d.Attempt() < 2 && !b.h.Cursor {
			b.Errorf("%s came again as attempt %d", name(d), d.Attempt())
		}
	}
	ack(ds...)
	b.pendingBecomes(0)
	c.stop()
}

func ackIsFinal(b *bench) {
	b.publish(25, 100)
	c := b.start(limit)
	ack(c.collect(25)...)
	b.pendingBecomes(0)
	c.stop()
	b.put(queue.Message{Value: []byte("later:")})
	c = b.start(limit)
	if ds := c.fetch(everything); name(ds[0]) != "later" {
		b.Errorf("after the restart came %v, want only what was published later", names(ds))
	}
	ack(c.kept...)
	b.pendingBecomes(0)
	c.stop()
}

func acksOutOfOrder(b *bench) {
	b.publish(100, 50)
	c := b.start(limit)
	ds := c.collect(100)
	rand.Shuffle(len(ds), func(i, j int) { ds[i], ds[j] = ds[j], ds[i] })
	want := names(ds[60:])
	ack(ds[:60]...)
	if !b.h.Cursor {
		b.pendingBecomes(40)
	}
	c.stop()
	c = b.start(limit)
	ds = c.collect(40)
	if diff := cmp.Diff(want, names(ds)); diff != "" {
		b.Errorf("second run (-want +got):\n%s", diff)
	}
	ack(ds...)
	b.pendingBecomes(0)
	c.stop()
}

func settleOnce(b *bench) {
	b.publish(2, 10)
	c := b.start(limit)
	ds := c.collect(2)
	before := queue.Misuse()
	ds[0].Ack()
	ds[0].Release()
	ds[0].Ack()
	if got := queue.Misuse() - before; got < 2 {
		b.Errorf("two second settlements counted as %d", got)
	}
	if !ds[0].Settled() || ds[1].Settled() {
		b.Errorf("settled: %v and %v, want true and false", ds[0].Settled(), ds[1].Settled())
	}
	b.pendingBecomes(1)
	c.stop()
	c = b.start(limit)
	if again := c.fetch(everything); name(again[0]) != "m001" {
		b.Errorf("second run got %v", names(again))
	}
	ack(c.kept...)
	b.pendingBecomes(0)
	c.stop()
}

func concurrentSettlement(b *bench) {
	b.publish(1000, 20)
	c := b.start(limit)
	ds := c.collect(1000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := i; j < len(ds); j += 8 {
				ack(ds[j])
			}
		})
	}
	wg.Wait()
	b.pendingBecomes(0)
	c.stop()
}

func freeGivesBack(b *bench) {
	b.publish(1, 40*kib)
	c := b.start(limit)
	d := c.fetch(everything)[0]
	held := d.Held()
	d.Ack()
	b.pendingBecomes(0)
	if used := c.host.Usage().Used; used < held {
		b.Errorf("after Ack %d bytes are in use, want at least the %d held", used, held)
	}
	if m := d.Message(); len(m.Value) < 40*kib {
		b.Error("the value is gone before Free")
	}
	d.Free()
	d.Free()
	if m := d.Message(); m.Value != nil || m.Key != nil || m.Headers != nil {
		b.Error("the message is still reachable after Free")
	}
	c.stop()
}

func budgetIsRespected(b *bench) {
	const small = 1 << 20
	b.publish(200, 32*kib)
	c := b.start(small)
	for n := 0; n < 200; {
		ds := c.fetch(everything)
		n += len(ds)
		ack(ds...)
		c.kept = nil
	}
	if u := c.host.Usage(); u.Peak > small+u.Charged {
		b.Errorf("held up to %d bytes with a budget of %d and %d charged", u.Peak, small, u.Charged)
	}
	b.pendingBecomes(0)
	c.stop()
}

func exhaustedBudgetWaits(b *bench) {
	const small = 1 << 20
	b.publish(100, 64*kib)
	c := b.start(small)
	fetched := make(chan []*queue.Delivery)
	go func() {
		defer close(fetched)
		for n := 0; n < 100; {
			ds, err := c.strand.Fetch(b.ctx, everything)
			if err != nil {
				b.Errorf("fetch: %v", err)
				return
			}
			n += len(ds)
			fetched <- ds
		}
	}()
	var total int
	var held []*queue.Delivery
	for total < 100 {
		select {
		case ds, ok := <-fetched:
			if !ok {
				b.Fatal("fetch ended early")
			}
			total += len(ds)
			held = append(held, ds...)
			if u := c.host.Usage(); u.Used > small+u.Charged {
				b.Errorf("in use: %+v", u)
			}
			if len(held) < 8 { // half the budget: a source may keep the rest for its next request
				continue
			}
		case <-b.ctx.Done():
			b.Fatalf("%d of 100 came: %+v", total, c.host.Usage())
		}
		ack(held...)
		held = nil
	}
	ack(held...)
	b.pendingBecomes(0)
	c.stop()
}

func lostSettlesNothing(b *bench) {
	b.publish(10, 100)
	c := b.start(limit)
	old := c.strand.Info().Incarnation
	ds := c.collect(10)
	b.h.Lose(b.T, b.q)
	end, err := c.strand.End(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	if end.Reason != queue.Lost {
		b.Errorf("the strand ended as %s, want lost", end.Reason)
	}
	ack(ds...)
	c.leave()
	c.next()
	if now := c.strand.Info().Incarnation; now == old {
		b.Errorf("the next strand has the incarnation of the lost one: %s", now)
	}
	again := c.collect(10)
	if diff := cmp.Diff(expected(10), names(again)); diff != "" {
		b.Errorf("after the loss (-want +got):\n%s", diff)
	}
	ack(again...)
	b.pendingBecomes(0)
	c.stop()
}
