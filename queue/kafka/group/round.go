package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// join opens a round.
func (m *machine) join(now time.Time) {
	m.wanted, m.handAt = false, time.Time{}
	m.phase, m.callAt = joining, m.where.addr
	m.call++
	m.where.checkAt = now.Add(m.rules.session / 3)
	c := m.claim()
	for p := range m.given {
		if _, claimed := slices.BinarySearchFunc(c.owned, p, comparePartitions); !claimed {
			delete(m.given, p) // it may be another's from now on
		}
	}
	said := c.encode()
	m.said = fingerprint(said)
	m.do(join{call: m.call, addr: m.callAt, id: m.id, claim: said, sent: now})
}

// abandonRound forgets a round that is held with a coordinator that is none any
// more, and joins at the new one.
func (m *machine) abandonRound(now time.Time) {
	m.phase = between
	m.call++
	m.want(now)
}

// joinAnswered is the answer to join. r is set when err is nil or asks for an id.
func (m *machine) joinAnswered(now time.Time, j join, r *wire.JoinResponse, err error) {
	if m.ended || m.phase != joining || j.call != m.call {
		return
	}
	switch judge(err) {
	case fine:
		m.id, m.gen, m.joined = r.Member, r.Generation, true
		m.confirm(j.sent)
		m.pulse.at = now.Add(m.rules.heartbeat)
		if m.leading = r.Leader == r.Member; m.leading {
			m.phase = planning
			m.do(lead{call: m.call, members: r.Members})
		} else {
			m.sync(now, nil)
		}
	case needsID:
		m.id = r.Member
		m.again(now, 0)
	default:
		m.roundFailed(now, j.addr, err)
	}
	m.follow(now)
}

// planned brings the plan of a round that we lead. Without partitions it leaves
// all as it is, and is made anew after a while.
func (m *machine) planned(now time.Time, call uint64, assignments map[string][]byte, err error) {
	if m.ended || m.phase != planning || call != m.call {
		return
	}
	if m.replan = err != nil; m.replan {
		m.trouble(now, err)
	}
	m.sync(now, assignments)
	m.follow(now)
}

func (m *machine) sync(now time.Time, assignments map[string][]byte) {
	m.phase = syncing
	m.do(agree{call: m.call, addr: m.callAt, id: m.id, gen: m.gen, assignments: assignments, sent: now})
}

// synced is the answer to sync.
func (m *machine) synced(now time.Time, s agree, data []byte, err error) {
	if m.ended || m.phase != syncing || s.call != m.call {
		return
	}
	if err == nil {
		var a assignment
		if a, err = decodeAssignment(data); err == nil {
			m.complete(now, s, a)
			m.follow(now)
			return
		}
		m.trouble(now, err)
		m.tries++
		m.again(now, backoff(m.tries))
		m.follow(now)
		return
	}
	m.roundFailed(now, s.addr, err)
	m.follow(now)
}

// roundFailed decides how a round is tried again. What we hold stays ours except
// where the coordinator does not know us: that a generation is over only says that
// this round was void.
func (m *machine) roundFailed(now time.Time, addr string, err error) {
	if judge(err) == inRound {
		m.again(now, 0)
		m.spoil(now)
		return
	}
	pause := backoff(m.tries)
	m.tries++
	switch judge(err) {
	case oldGeneration:
	case unknown:
		m.loseAll(now, err)
		m.dropID()
	case usurped:
		if m.fencedOut() {
			m.die(now, err)
			return
		}
		m.trouble(now, err)
		m.dropID()
	case refused:
		if !m.joined {
			m.die(now, err)
			return
		}
		m.trouble(now, err)
		pause = lastTry
	default:
		m.astray(now, addr, err)
	}
	m.again(now, pause)
}

// again closes the round and wants another.
func (m *machine) again(now time.Time, pause time.Duration) {
	m.phase = between
	m.wanted, m.wantedAt = true, now.Add(pause)
}

// complete takes over what a round gave us.
func (m *machine) complete(now time.Time, s agree, a assignment) {
	if m.gen != m.held {
		m.rounds++
	}
	t := decodeTerms(a.user)
	m.phase, m.held, m.tries, m.proven, m.roundAt = between, m.gen, 0, true, now
	m.confirm(s.sent)
	m.recheck.layout = t.layout
	m.pulse.begin(now, t.more)
	clear(m.given)
	for _, p := range a.partitions {
		m.given[p] = true
	}
	m.reconcile(now)
	switch {
	case m.replan:
		m.replan = false
		m.wish++
		m.wanted, m.wantedAt = true, now.Add(lastTry)
	case t.said != 0 && t.said != m.said:
		m.succeed(now, t)
	}
}

// succeed looks through a plan that was made for somebody else: the coordinator
// gives a static member that comes back what its predecessor had, without a round.
// Partitions may have been added since; other topics may be wanted; and what the
// predecessor was to let go, the others still wait for.
func (m *machine) succeed(now time.Time, t terms) {
	m.recheck.wanted, m.recheck.at = true, now
	if t.more || t.topics != topicsOf(m.topics) {
		m.wish++
		m.want(now)
	}
}

// reconcile grants what is given and not held, and revokes what is held and not
// given. What drains goes on draining.
func (m *machine) reconcile(now time.Time) {
	report := settled{}
	for p, l := range m.leases {
		switch {
		case m.given[p]:
			report.kept++
		case l.state == leased:
			m.drain(l, &queue.End{Reason: queue.Revoked, Deadline: now.Add(m.rules.drain), Why: fmt.Sprintf("generation %d gives %s to another member", m.gen, p)})
			report.revoked++
		}
	}
	report.granted = m.grantGiven()
	m.do(report)
}
