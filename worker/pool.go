package worker

import (
	"context"
	"sync"
	"sync/atomic"
)

// heldPool is the budget of bytes for messages as received. It is the byte half
// of queue.Host. Takers stand in line; without a line, taking and giving are one
// atomic operation.
type heldPool struct {
	limit int64
	free  atomic.Int64 // below zero after Charge
	line  atomic.Int32 // takers and watchers waiting: Give has to look

	mu       sync.Mutex
	takers   []*taker
	watchers map[chan<- struct{}]struct{}
}

type taker struct {
	min, max int64
	got      chan int64 // buffered: the grant waits for the taker, never the giver
}

func newHeldPool(limit int64) *heldPool {
	p := &heldPool{limit: limit, watchers: map[chan<- struct{}]struct{}{}}
	p.free.Store(limit)
	return p
}

// Take implements queue.Host.
func (p *heldPool) Take(ctx context.Context, least, most int64) (int64, error) {
	// More than everything can never be granted; one that large comes when the
	// pool is empty.
	least = min(least, p.limit)
	if p.line.Load() == 0 || least <= 0 {
		if n := p.grab(least, most); n > 0 || least <= 0 {
			return n, nil
		}
	}
	t := &taker{min: least, max: most, got: make(chan int64, 1)}
	p.mu.Lock()
	p.takers = append(p.takers, t)
	p.line.Add(1)
	p.grantLocked()
	p.mu.Unlock()

	select {
	case n := <-t.got:
		return n, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case n := <-t.got: // granted while we gave up
		p.free.Add(n)
	default:
		p.dropLocked(t)
	}
	p.wakeLocked()
	return 0, context.Cause(ctx)
}

// takeShare is the part of the free bytes that one grant gives at most, unless the
// taker needs more. Strands that ask side by side have looked at the same free
// bytes; without it a few of them would use everything up before one looks again.
const takeShare = 16

func (p *heldPool) grab(least, most int64) int64 {
	for {
		free := p.free.Load()
		if free < least {
			return 0
		}
		n := min(most, max(least, free/takeShare))
		if n <= 0 {
			return 0
		}
		if p.free.CompareAndSwap(free, free-n) {
			return n
		}
	}
}

// Give implements queue.Host.
func (p *heldPool) Give(n int64) {
	p.free.Add(n)
	if p.line.Load() == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeLocked()
}

// wakeLocked tells all who wait that bytes may be free.
func (p *heldPool) wakeLocked() {
	p.grantLocked()
	for ch := range p.watchers {
		poke(ch)
	}
}

// Charge implements queue.Host.
func (p *heldPool) Charge(n int64) { p.free.Add(-n) }

// watch has ch poked at each Give until unwatch.
func (p *heldPool) watch(ch chan<- struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers[ch] = struct{}{}
	p.line.Add(1)
}

func (p *heldPool) unwatch(ch chan<- struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watchers, ch)
	p.line.Add(-1)
}

func (p *heldPool) grantLocked() {
	for len(p.takers) > 0 {
		t := p.takers[0]
		n := p.grab(t.min, t.max)
		if n == 0 {
			return
		}
		p.takers[0] = nil
		p.takers = p.takers[1:]
		p.line.Add(-1)
		t.got <- n
	}
}

func (p *heldPool) dropLocked(t *taker) {
	for i := range p.takers {
		if p.takers[i] == t {
			p.takers = append(p.takers[:i], p.takers[i+1:]...)
			p.line.Add(-1)
			return
		}
	}
}

func (p *heldPool) status() PoolStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStatus{Name: "held", Limit: p.limit, Used: p.limit - p.free.Load(), Waiting: len(p.takers)}
}

// poke wakes a waiter whose channel holds one wake-up.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
