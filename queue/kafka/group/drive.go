package group

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// event tells the machine what happened and carries out what follows.
func (m *Member) event(tell func(now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	tell(now)
	if m.calls != nil { // Run was called
		m.carry(now)
	}
}

// carry carries out what the machine asks for; with mu. Nothing in it waits.
func (m *Member) carry(now time.Time) {
	k := m.machine
	for _, a := range k.actions() {
		m.start(a)
	}
	if ground := k.ground; !ground.IsZero() && (m.ground.Load() == nil || !ground.Equal(*m.ground.Load())) {
		m.ground.Store(&ground)
	}
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
	m.logHealth(now)
	m.setTimer(now)
}

func (m *Member) setTimer(now time.Time) {
	due := m.machine.due
	switch {
	case m.timer == nil:
		m.timer = time.AfterFunc(time.Hour, func() { m.event(m.machine.tick) })
		m.setTimer(now)
	case due.IsZero():
		m.timer.Stop()
	default:
		m.timer.Reset(max(due.Sub(now), 0))
	}
}

func (m *Member) start(a action) {
	switch a := a.(type) {
	case seek:
		m.running.Go(func() { m.seek(a) })
	case join:
		m.running.Go(func() { m.join(a) })
	case lead:
		m.running.Go(func() { m.lead(a) })
	case agree:
		m.running.Go(func() { m.agree(a) })
	case beat:
		m.running.Go(func() { m.beat(a) })
	case leave:
		m.running.Go(func() { m.leave(a) })
	case compare:
		m.running.Go(func() { m.compare(a) })
	case grant:
		m.grant(a.leases)
	case finish:
		m.log.Debug("a partition is drained", zap.Stringer("partition", a.lease), zap.Error(a.end))
		a.lease.end(a.end)
	case fence:
		m.log.Warn("a partition is lost", zap.Stringer("partition", a.lease), zap.Error(a.why))
		close(a.lease.lost)
		a.lease.end(&queue.End{Reason: queue.Lost, Why: a.why.Error()})
	case settled:
		k := m.machine
		m.log.Info("a rebalance is complete", zap.Int32("generation", k.held), zap.Bool("leading", k.leading),
			zap.Int("kept", a.kept), zap.Int("granted", a.granted), zap.Int("revoked", a.revoked))
	case finished:
		close(m.done)
	}
}

// logHealth says when trouble begins and when it is over; with mu.
func (m *Member) logHealth(now time.Time) {
	k := m.machine
	_, err := k.wrong()
	switch {
	case m.healthy && err != nil:
		m.healthy = false
		m.log.Warn("the group's coordinator does not answer as it should", zap.Error(err), zap.String("advice", wire.Advice(err)))
	case !m.healthy && err == nil && k.held >= 0:
		m.healthy = true
		m.log.Info("the group's coordinator answers", zap.String("coordinator", k.where.addr), zap.Duration("last_confirmed_ago", now.Sub(k.confirmed)))
	}
}

// Deadlines of calls. A round waits for its slowest member; everything else is
// answered at once or not at all.
func (m *Member) within(part time.Duration, least time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(m.calls, max(m.cfg.Session/part, least))
}

func (m *Member) seek(a seek) {
	ctx, cancel := m.within(3, 500*time.Millisecond)
	defer cancel()
	b, err := m.cfg.Client.Coordinator(ctx, m.cfg.Group)
	m.event(func(now time.Time) { m.machine.found(now, a.sent, b.Addr(), err) })
}

func (m *Member) join(a join) {
	ctx, cancel := context.WithTimeout(m.calls, m.cfg.Rebalance+m.cfg.Session)
	defer cancel()
	r, err := m.cfg.Client.Join(ctx, a.addr, &wire.JoinRequest{
		Group: m.cfg.Group, Instance: m.cfg.Instance, Member: a.id,
		Session: m.cfg.Session, Rebalance: m.cfg.Rebalance,
		Protocols: []wire.JoinProtocol{{Name: protocolName, Metadata: a.claim}},
	})
	m.event(func(now time.Time) { m.machine.joinAnswered(now, a, r, err) })
}

func (m *Member) agree(a agree) {
	ctx, cancel := context.WithTimeout(m.calls, m.cfg.Rebalance+m.cfg.Session)
	defer cancel()
	data, err := m.cfg.Client.Sync(ctx, a.addr, &wire.SyncRequest{
		Group: m.cfg.Group, Instance: m.cfg.Instance, Member: a.id, Generation: a.gen, Assignments: a.assignments,
	})
	m.event(func(now time.Time) { m.machine.synced(now, a, data, err) })
}

func (m *Member) beat(a beat) {
	ctx, cancel := m.within(5, 500*time.Millisecond)
	defer cancel()
	err := m.cfg.Client.Heartbeat(ctx, a.addr, m.as(a.id, a.gen))
	m.event(func(now time.Time) { m.machine.beaten(now, a, err) })
}

func (m *Member) leave(a leave) {
	ctx, cancel := context.WithTimeout(m.calls, farewell)
	defer cancel()
	err := m.cfg.Client.Leave(ctx, a.addr, m.as(a.id, -1))
	m.event(func(now time.Time) { m.machine.left(now, a, err) })
}

func (m *Member) compare(a compare) {
	ctx, cancel := m.within(3, time.Second)
	defer cancel()
	partitions, err := m.cfg.Partitions(ctx, a.topics)
	layout := layoutOf(a.topics, partitions)
	m.event(func(now time.Time) { m.machine.compared(now, layout, err) })
}

func (m *Member) as(id string, gen int32) wire.Membership {
	return wire.Membership{Group: m.cfg.Group, Instance: m.cfg.Instance, Member: id, Generation: gen}
}
