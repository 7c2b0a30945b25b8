package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/queue"
)

// Publish stores messages in order, each in the partition it names (modulo the
// number of partitions). Position is given by the queue, Time too unless set.
// Values are kept, not copied.
func (q *Queue) Publish(ms ...queue.Message) {
	now := time.Now()
	for i := range ms {
		p := q.parts[int(uint32(ms[i].Partition))%len(q.parts)]
		p.publish(ms[i], now)
	}
	q.published.Add(int64(len(ms)))
	for _, p := range q.parts {
		poke(p.wake)
	}
}

// Published is how many messages were stored.
func (q *Queue) Published() int64 { return q.published.Load() }

// Acked is how many messages were acknowledged.
func (q *Queue) Acked() int64 { return q.acked.n.Load() }

// Pending is how many messages are not acknowledged, handed out or not.
func (q *Queue) Pending() int64 {
	var n int64
	for _, p := range q.parts {
		p.mu.Lock()
		n += p.log.waiting
		p.mu.Unlock()
	}
	return n
}

// Unsettled is how many messages are handed out and not settled.
func (q *Queue) Unsettled() int64 {
	var n int64
	for _, p := range q.parts {
		p.mu.Lock()
		n += p.log.out
		p.mu.Unlock()
	}
	return n
}

// Fenced is how many settlements came too late to count.
func (q *Queue) Fenced() int64 { return q.fenced.Load() }

// EarlyReleases is how many messages were released while their strand lived,
// which the contract forbids.
func (q *Queue) EarlyReleases() int64 { return q.early.Load() }

// WaitAcked waits until n messages are acknowledged in all.
func (q *Queue) WaitAcked(ctx context.Context, n int64) error {
	if err := q.acked.wait(ctx, n); err != nil {
		return fmt.Errorf("couldn't see %d messages acknowledged: %d of %d published are: %w",
			n, q.Acked(), q.Published(), err)
	}
	return nil
}

// AckOrder is where the acknowledged messages lay, in the order of their
// acknowledgements. It needs Config.KeepOrder.
func (q *Queue) AckOrder() []Place {
	q.orderMu.Lock()
	defer q.orderMu.Unlock()
	return slices.Clone(q.order)
}

// EndStrand ends the running strand of a partition, as a broker would. With Lost,
// also of one that drains, what it still holds can no longer be settled. Assign
// serves the partition again.
func (q *Queue) EndStrand(partition int, reason queue.Reason, deadline time.Time) {
	p := q.parts[partition]
	p.mu.Lock()
	l := p.lease
	if l != nil && reason == queue.Lost && !l.lost {
		l.lost = true
		close(l.gone)
	}
	p.mu.Unlock()
	if l != nil {
		l.end(&queue.End{Reason: reason, Deadline: deadline, Why: "ended by the test", Lost: l.gone})
	}
}

// Assign lets Run serve a partition again whose strand was ended.
func (q *Queue) Assign(partition int) { poke(q.parts[partition].assigned) }

// FailFetch makes the partition's next Fetch return err.
func (q *Queue) FailFetch(partition int, err error) {
	p := q.parts[partition]
	p.mu.Lock()
	p.fail = err
	p.mu.Unlock()
	poke(p.wake)
}

func (q *Queue) noteAck(at Place) {
	if q.cfg.KeepOrder {
		q.orderMu.Lock()
		q.order = append(q.order, at)
		q.orderMu.Unlock()
	}
	q.acked.add()
}

// counter grows and can be waited for.
type counter struct {
	n       atomic.Int64
	waiting atomic.Int32

	mu    sync.Mutex
	waits []wait
}

type wait struct {
	n    int64
	done chan struct{}
}

func (c *counter) add() {
	n := c.n.Add(1)
	if c.waiting.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = slices.DeleteFunc(c.waits, func(w wait) bool {
		if w.n <= n {
			close(w.done)
		}
		return w.n <= n
	})
}

func (c *counter) wait(ctx context.Context, n int64) error {
	w := wait{n, make(chan struct{})}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	c.mu.Lock()
	if c.n.Load() >= n {
		c.mu.Unlock()
		return nil
	}
	c.waits = append(c.waits, w)
	c.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waits = slices.DeleteFunc(c.waits, func(o wait) bool { return o.done == w.done })
		return ctx.Err()
	}
}
