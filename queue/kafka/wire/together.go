package wire

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// together makes one request of the calls of a kind that wait for the same slot. Q
// is what is asked about one partition, A the answer. The zero value is ready.
type together[Q comparable, A any] struct {
	mu   sync.Mutex
	open map[string][]*round[Q, A] // that wait, by what calls of one request agree on
}

// round is one request and those who wait for it.
type round[Q comparable, A any] struct {
	callers  []*caller[Q]
	asked    map[TopicPartition]Q
	bytes    int
	deserted context.CancelFunc // ends the wait for its turn

	done  chan struct{} // closed when found and err say what came of it
	found map[TopicPartition]A
	err   error
}

type caller[Q comparable] struct {
	questions []Q
	deadline  time.Time
}

// maxRound bounds what several calls write in one request; one alone may write
// more. Brokers take requests of 100 MiB by default.
const maxRound = 4 << 20

// manner is how calls of one kind are asked together.
type manner[Q comparable, A any] struct {
	kind  func(*turns) (*together[Q, A], *semaphore.Weighted)
	key   string // calls with another one make other requests
	bytes int    // that this call writes, where they count
	about func(Q) TopicPartition
	ask   func(context.Context, []Q) (map[TopicPartition]A, error)

	slot *semaphore.Weighted
	life context.Context // the client's
}

// inCompany asks about qs in the request that the calls of that kind make at addr.
func inCompany[Q comparable, A any](ctx context.Context, c *Client, addr string, q *call, m *manner[Q, A], qs []Q) (map[TopicPartition]A, error) {
	l, err := c.link(addr)
	if err != nil {
		return nil, c.wrap(q.op, addr, err)
	}
	ctx, cancel := timed(ctx, q)
	defer cancel()
	m.life = c.life
	kind, slot := m.kind(l.turns)
	m.slot = slot
	found, err := kind.ask(ctx, m, qs)
	if named := (*Error)(nil); errors.As(err, &named) {
		return nil, err
	}
	return found, c.wrap(q.op, addr, c.explain(addr, l, err))
}

// ask returns what the request that carries qs finds out about them. ctx has a
// deadline; the request has the latest one of its callers, so that none of them
// waits less than it wants to.
func (t *together[Q, A]) ask(ctx context.Context, m *manner[Q, A], qs []Q) (map[TopicPartition]A, error) {
	deadline, _ := ctx.Deadline()
	c := &caller[Q]{qs, deadline}
	r := t.join(m, c)
	select {
	case <-r.done:
	case <-ctx.Done():
		t.leave(r, c)
		return nil, ctx.Err()
	}
	if r.err != nil {
		return nil, r.err
	}
	own := make(map[TopicPartition]A, len(qs))
	for _, q := range qs {
		own[m.about(q)] = r.found[m.about(q)]
	}
	return own, nil
}

// join finds the round that c fits into, or begins one.
func (t *together[Q, A]) join(m *manner[Q, A], c *caller[Q]) *round[Q, A] {
	t.mu.Lock()
	defer t.mu.Unlock()
	var r *round[Q, A]
	if i := slices.IndexFunc(t.open[m.key], func(r *round[Q, A]) bool { return r.takes(m, c.questions) }); i >= 0 {
		r = t.open[m.key][i]
	} else {
		r = t.begin(m)
	}
	r.callers = append(r.callers, c)
	r.bytes += m.bytes
	for _, q := range c.questions {
		r.asked[m.about(q)] = q
	}
	return r
}

func (t *together[Q, A]) begin(m *manner[Q, A]) *round[Q, A] {
	waiting, deserted := context.WithCancel(m.life)
	r := &round[Q, A]{asked: map[TopicPartition]Q{}, deserted: deserted, done: make(chan struct{})}
	if t.open == nil {
		t.open = map[string][]*round[Q, A]{}
	}
	t.open[m.key] = append(t.open[m.key], r)
	go t.run(waiting, m, r)
	return r
}

// takes says whether qs may be in the same request. One must not name a partition
// twice.
func (r *round[Q, A]) takes(m *manner[Q, A], qs []Q) bool {
	for _, q := range qs {
		if other, asked := r.asked[m.about(q)]; asked && other != q {
			return false
		}
	}
	return len(r.callers) > 0 && (m.bytes == 0 || r.bytes+m.bytes <= maxRound)
}

// leave takes a caller out: what only it wanted is not asked, if its turn has not
// come yet.
func (t *together[Q, A]) leave(r *round[Q, A], c *caller[Q]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.callers = slices.DeleteFunc(r.callers, func(other *caller[Q]) bool { return other == c })
	if len(r.callers) == 0 {
		r.deserted()
	}
}

// run asks when the turn of the round comes.
func (t *together[Q, A]) run(waiting context.Context, m *manner[Q, A], r *round[Q, A]) {
	defer close(r.done)
	defer r.deserted()
	r.err = m.slot.Acquire(waiting, 1)
	qs, deadline := t.close(m, r)
	if r.err != nil {
		return
	}
	defer m.slot.Release(1)
	if deadline.IsZero() { // everybody has gone
		return
	}
	ctx, cancel := context.WithDeadline(m.life, deadline)
	defer cancel()
	r.found, r.err = m.ask(ctx, qs)
}

// close lets nobody in any more. What is asked is in order, because a request names
// each topic once.
func (t *together[Q, A]) close(m *manner[Q, A], r *round[Q, A]) (qs []Q, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[m.key] = slices.DeleteFunc(t.open[m.key], func(other *round[Q, A]) bool { return other == r })
	if len(t.open[m.key]) == 0 {
		delete(t.open, m.key)
	}
	for _, c := range r.callers {
		qs = append(qs, c.questions...)
		if c.deadline.After(last) {
			last = c.deadline
		}
	}
	slices.SortStableFunc(qs, func(a, b Q) int { return compare(m.about(a), m.about(b)) })
	return slices.Compact(qs), last
}

func compare(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
