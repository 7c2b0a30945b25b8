package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// grantGiven begins a lease for each partition that is given to us and that nobody
// here serves.
func (m *machine) grantGiven() int {
	if m.stopping != nil || m.held < 0 {
		return 0
	}
	var g grant
	for p := range m.given {
		if m.leases[p] == nil && m.ending[p] == nil && slices.Contains(m.topics, p.Topic) {
			l := &Lease{TopicPartition: p, Committed: -1, Generation: m.held, lost: make(chan struct{})}
			m.leases[p] = l
			g.leases = append(g.leases, l)
		}
	}
	if len(g.leases) > 0 {
		slices.SortFunc(g.leases, func(a, b *Lease) int { return comparePartitions(a.TopicPartition, b.TopicPartition) })
		m.do(g)
	}
	return len(g.leases)
}

func (m *machine) drain(l *Lease, end *queue.End) {
	l.state, l.until = draining, end.Deadline.Add(overdue)
	m.do(finish{lease: l, end: end})
}

// served notes that Serve has returned.
func (m *machine) served(now time.Time, l *Lease) {
	was := l.state
	l.state = over
	p := l.TopicPartition
	if m.ending[p] == l {
		delete(m.ending, p)
	}
	if m.leases[p] == l {
		delete(m.leases, p)
	}
	switch {
	case m.ended || m.held < 0:
	case m.given[p] && was == leased: // it gave up by itself
		m.againAt = now.Add(restless)
	case m.given[p] && m.stopping == nil: // it came back to us while it drained
		m.grantGiven()
	case was == draining:
		m.handOver(now)
	}
	m.follow(now)
}

// handOver lets the group have what was drained: at once if nothing else drains,
// else together with what is drained within a moment. The slowest is never waited
// for.
func (m *machine) handOver(now time.Time) {
	if m.stopping != nil && (!m.rules.leaves || len(m.leases) == 0) {
		return // the leave says it, or nobody is to have it
	}
	for _, l := range m.leases {
		if l.state == draining {
			if m.handAt.IsZero() {
				m.handAt = now.Add(together)
			}
			return
		}
	}
	m.want(now)
}

// fenceOverdue takes leases back whose Serve does not return. It cannot be ended,
// but it can commit nothing any more, and the partition moves on.
func (m *machine) fenceOverdue(now time.Time) {
	for _, l := range m.leases {
		if l.state == draining && m.reached(now, l.until) {
			m.lose(l, fmt.Errorf("it did not end within %v of its deadline", overdue))
			m.handOver(now)
		}
	}
}

// loseAll ends every lease at once: the coordinator has given them away, or may.
func (m *machine) loseAll(now time.Time, why error) {
	m.gen, m.held = -1, -1
	m.handAt, m.againAt = time.Time{}, time.Time{}
	m.trouble(now, why)
	clear(m.given)
	for _, l := range m.leases {
		m.lose(l, why)
	}
}

func (m *machine) lose(l *Lease, why error) {
	l.state = fenced
	delete(m.leases, l.TopicPartition)
	m.ending[l.TopicPartition] = l
	m.do(fence{lease: l, why: why})
}

// recheck remembers what the leader planned with.
type recheck struct {
	layout uint64 // fingerprint of our topics' partitions; 0: not known
	wanted bool
	at     time.Time
}

// partitionsChanged looks whether the last plan is out of date. Every member
// notices new partitions by itself and at about the same time, so a round is asked
// for only if none has dealt with them yet.
func (m *machine) partitionsChanged(now time.Time) {
	m.recheck.wanted, m.recheck.at = true, now
	m.follow(now)
}

// compared is the answer to compare.
func (m *machine) compared(now time.Time, layout uint64, err error) {
	switch {
	case m.ended:
	case err != nil:
		m.recheck.wanted, m.recheck.at = true, now.Add(lastTry)
	case m.phase != between: // what is planned meanwhile is compared after it
		m.recheck.wanted, m.recheck.at = true, now
	case m.held >= 0 && layout != m.recheck.layout:
		m.wish++
		m.want(now)
	}
	m.follow(now)
}

// owns says whether offsets may be committed under a lease.
func (m *machine) owns(l *Lease) bool { return m.leases[l.TopicPartition] == l }

// doubtful says that the coordinator may have given our leases away while this
// process stood still.
func (m *machine) doubtful(now time.Time) bool {
	return !mutant.On(mutant.IgnoreDoubt) && !m.ground.IsZero() && elapsed(m.ground, now) > m.rules.session
}
