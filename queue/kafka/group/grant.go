package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// grant starts leases; with mu. Where each begins is asked for all in one request.
func (m *Member) grant(leases []*Lease) {
	positions := make(map[wire.TopicPartition]chan wire.Committed, len(leases))
	waiting := map[wire.TopicPartition]context.Context{}
	for _, l := range leases {
		ctx, end := context.WithCancelCause(m.strands)
		position := make(chan wire.Committed, 1)
		l.member, l.end = m, end
		positions[l.TopicPartition], waiting[l.TopicPartition] = position, ctx
		m.running.Go(func() { m.serve(ctx, l, position) })
	}
	m.running.Go(func() { m.position(waiting, positions) })
}

// serve is the life of a lease.
func (m *Member) serve(ctx context.Context, l *Lease, position <-chan wire.Committed) {
	defer m.event(func(now time.Time) { m.machine.served(now, l) })
	defer l.end(nil)
	select {
	case p := <-position:
		l.Committed, l.Metadata = p.Offset, p.Metadata
	case <-ctx.Done():
		return
	}
	for m.doubtful() {
		select {
		case <-m.watch():
		case <-ctx.Done():
			return
		}
	}
	if ctx.Err() == nil {
		m.cfg.Serve(ctx, l)
		if failpoint.Enabled && revoked(ctx) {
			failpoint.Hit(failpoint.RebalanceBetween)
		}
	}
}

// revoked says that a lease ended because another member gets its partition.
func revoked(ctx context.Context) bool {
	var end *queue.End
	return errors.As(context.Cause(ctx), &end) && end.Reason == queue.Revoked
}

// position finds out where leases begin, until each knows or is over.
func (m *Member) position(waiting map[wire.TopicPartition]context.Context, positions map[wire.TopicPartition]chan wire.Committed) {
	for failures := 0; ; failures++ {
		var ask []wire.TopicPartition
		for p, ctx := range waiting {
			if ctx.Err() != nil {
				delete(waiting, p)
				continue
			}
			ask = append(ask, p)
		}
		if len(ask) == 0 || m.calls.Err() != nil {
			m.event(func(now time.Time) { m.machine.placing(now, nil) })
			return
		}
		committed, err := m.committed(order(ask))
		for p, c := range committed {
			if _, ok := waiting[p]; ok && c.Err == nil {
				positions[p] <- c
				delete(waiting, p)
			} else if c.Err != nil {
				err = fmt.Errorf("couldn't read the committed offset of %s: %w", p, c.Err)
			}
		}
		if err != nil {
			m.event(func(now time.Time) { m.machine.placing(now, err) })
		}
		if len(waiting) > 0 {
			m.rest(min(backoff(failures+1), time.Second))
		}
	}
}

// committed asks the coordinator once, if it is known.
func (m *Member) committed(ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error) {
	m.mu.Lock()
	addr := m.machine.where.addr
	m.mu.Unlock()
	if addr == "" {
		return nil, nil
	}
	ctx, cancel := m.within(5, 2*time.Second)
	defer cancel()
	c, err := m.cfg.Client.Committed(ctx, addr, m.cfg.Group, ps)
	if judge(err) == away {
		m.event(func(now time.Time) {
			m.machine.astray(now, addr, err)
			m.machine.follow(now)
		})
	}
	return c, err
}

// rest waits, but no longer than the member lives.
func (m *Member) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.calls.Done():
	}
}
