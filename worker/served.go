package worker

import (
	"errors"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// routeParked makes the parts of a parked record: all go to the lane that it was parked
// for, whatever the routes match by now. A record whose lane is not ours stays parked.
func (s *strand) routeParked(m *message) {
	msg := m.d.Message()
	only, notOurs, err := s.onlyTo(msg)
	var key protocol.Key
	if err == nil && !notOurs {
		key, err = parkedKey(msg)
	}
	if err != nil || notOurs || only == nil {
		s.postpone(m)
		return
	}
	t := s.targetOf(only, key)
	indexes := originalIndexes(msg, len(m.groups))
	m.open.Store(1) // as in routeGroups
	m.holds.Store(1)
	for i := range m.groups {
		s.stage(t, &t.first, m.newPart(&m.groups[i], indexes.at(i)))
	}
	m.partEnded(1)
}

// parkedKey reads the key that a record was parked with.
func parkedKey(m *queue.Message) (key protocol.Key, err error) {
	key.Project, _ = m.Header(protocol.HeaderProject)
	key.Logstore, _ = m.Header(protocol.HeaderLogstore)
	key.Config, _ = m.Header(protocol.HeaderConfig)
	if key.Project == "" || key.Logstore == "" || key.Config == "" {
		return key, errors.New("the parked record does not say its whole key")
	}
	return key, nil
}

// targetOf is a target of a key toward one entry, whatever the table says.
func (s *strand) targetOf(e *entry, key protocol.Key) *target {
	id := laneID{e, key}
	t := s.served[id]
	if t == nil {
		if len(s.served) > s.w.cfg.Limits.Lanes {
			clear(s.served) // what is staged knows its own
		}
		if s.served == nil {
			s.served = map[laneID]*target{}
		}
		t = &target{key: pack(&key), first: slot{entry: e}}
		s.served[laneID{e, t.key.key()}] = t
	}
	return t
}

// postpone leaves a parked record parked for which there is no lane.
func (s *strand) postpone(m *message) {
	m.open.Store(0)
	m.holds.Store(0)
	m.deferred.Store(true)
	p := m.newPart(nil, 0)
	b := &s.source.lost
	b.mu.Lock()
	b.of(s.source.index).received++
	p.counted = true
	b.endLocked(p, released, ReleasedDeferred)
	b.mu.Unlock()
	m.partEnded(1)
}
