package group

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// lead plans a round. Without a list of partitions everybody keeps what he has.
func (m *Member) lead(a lead) {
	peers, topics := m.peers(a.members)
	ctx, cancel := m.within(3, time.Second)
	partitions, err := m.cfg.Partitions(ctx, topics)
	cancel()
	if err != nil {
		partitions = nil
		err = fmt.Errorf("couldn't plan group %q, so everybody keeps what he has for now: %w", m.cfg.Group, err)
	}
	m.mu.Lock()
	before := m.before
	m.mu.Unlock()
	p := balance(partitions, peers, before)
	assignments := assignmentsOf(p, peers, partitions)
	m.event(func(now time.Time) {
		if err == nil {
			m.before = p.target
		}
		m.machine.planned(now, a.call, assignments, err)
	})
}

// peers reads what the members of a round said, and which topics they want
// together.
func (m *Member) peers(members []wire.JoinMember) (peers []peer, topics []string) {
	for _, member := range members {
		c, err := decodeClaim(member.Metadata)
		if err != nil {
			m.log.Warn("a member of the group is given nothing", zap.String("member", member.Member), zap.Error(err))
		}
		p := peer{id: member.Member, key: member.Instance, claim: c, said: fingerprint(member.Metadata)}
		if p.key == "" {
			p.key = member.Member
		}
		peers = append(peers, p)
		topics = append(topics, c.topics...)
	}
	slices.Sort(topics)
	return peers, slices.Compact(topics)
}

func assignmentsOf(p plan, peers []peer, partitions map[string][]int32) map[string][]byte {
	assignments := make(map[string][]byte, len(peers))
	for _, peer := range peers {
		t := terms{more: p.withheld > 0, said: peer.said, topics: topicsOf(peer.topics)}
		if partitions != nil {
			t.layout = layoutOf(peer.topics, partitions)
		}
		a := assignment{partitions: p.assigned[peer.id], user: t.encode()}
		assignments[peer.id] = a.encode()
	}
	return assignments
}
