package kafka

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// How often the brokers are asked who leads what. In trouble the loops ask for it.
const (
	refreshEvery = 5 * time.Second
	missingEvery = time.Second // while a topic to read is not there
	tickEvery    = time.Second
	callTimeout  = 10 * time.Second
)

// kick lets the watch ask for metadata soon: at once, or after a growing pause if
// that has not helped before.
func (s *Source) kick() {
	s.wanted.Store(true)
	poke(s.kicked)
}

// watch follows the cluster until ctx ends: leaders, partitions, topics that come
// and go. It is the one ticker of the source, for all of its strands.
func (s *Source) watch(ctx context.Context, x *absences) error {
	asked := time.Now()
	next, failures := asked.Add(refreshEvery), 0
	for {
		if waitFor(ctx, min(time.Until(next), tickEvery), s.kicked) != nil {
			return x.over("the source stops")
		}
		if s.wanted.Swap(false) {
			next = earlier(next, asked.Add(retryIn(failures)))
		}
		if !time.Now().Before(next) {
			failures++
			if s.refresh(ctx) == nil && !s.troubled.Swap(false) {
				failures = 0
			}
			asked = time.Now()
			next = asked.Add(refreshEvery)
			if failures > 0 {
				next = asked.Add(retryIn(failures))
			} else if len(s.atlas.missing()) > 0 {
				next = asked.Add(missingEvery)
			}
		}
		s.tick(time.Now())
		if err := x.show(ctx, s.absentees(time.Now())); err != nil {
			return err
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// refresh asks for metadata and draws the conclusions.
func (s *Source) refresh(ctx context.Context) error {
	asked := time.Now()
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.client.Metadata(asking, s.atlas.ask())
	if err != nil {
		s.log.Debug("metadata", zap.Error(err))
		err = fmt.Errorf("couldn't ask who leads what: %w", err)
		s.silence.Store(&err)
		return err
	}
	s.silence.Store(nil)
	s.follow(c, asked)
	return nil
}

// unanswered is why the last question who leads what had no answer; nil: it had one.
func (s *Source) unanswered() error {
	if err := s.silence.Load(); err != nil {
		return *err
	}
	return nil
}

// follow draws the conclusions from an answer to what was asked at a time.
func (s *Source) follow(c *wire.Cluster, asked time.Time) {
	ch := s.atlas.learn(c, asked)
	for _, st := range s.unfinished() {
		st.identify(s.atlas.id(st.Topic), asked)
	}
	for _, name := range ch.vanished {
		s.log.Warn("a topic is away", zap.String("topic", name))
		s.isNew(name)
		s.suspect(func(at wire.TopicPartition) bool { return at.Topic == name }, "topic "+name+" does not exist")
	}
	for _, name := range ch.returned { // also of a strand that was found to be the one it was just before
		s.suspect(func(at wire.TopicPartition) bool { return at.Topic == name }, "topic "+name+" was away")
	}
	for _, at := range ch.reborn {
		s.suspect(func(o wire.TopicPartition) bool { return o == at }, "the leader epoch of "+at.String()+" went back")
	}
	s.moveBrokers()
	if ch.topics {
		s.member.Subscribe(s.atlas.subscription())
	}
	if ch.counts {
		s.log.Info("partitions changed")
		s.member.PartitionsChanged()
	}
	for _, st := range s.served() {
		s.route(st)
		s.clear(st)
	}
}

// tick looks at each strand once a second: what it is not asked for in Status.
func (s *Source) tick(now time.Time) {
	for _, st := range s.served() {
		st.watchState(now)
	}
}

// moveBrokers tells the loops where their brokers listen now.
func (s *Source) moveBrokers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.leaders {
		if b, ok := s.atlas.broker(id); ok {
			l.mu.Lock()
			l.addr = b.Addr()
			l.mu.Unlock()
		}
	}
}

// route brings a strand to the loop of the broker that it is read from.
func (s *Source) route(st *strand) {
	b, ok := s.atlas.leads(st.TopicPartition)
	st.mu.Lock()
	if st.replica >= 0 {
		if near, known := s.atlas.broker(st.replica); known {
			b = near
		} else {
			st.replica = -1
		}
	}
	old := st.leader
	var now *leader
	if ok && !st.closed {
		now = s.loop(b)
	}
	st.leader = now
	if old != now {
		st.asked = nil                 // what the old one may still answer is dropped
		st.trouble.until = time.Time{} // the new one is asked at once
	}
	st.mu.Unlock()
	switch {
	case old == now:
	case now == nil:
		old.remove(st)
	default:
		if old != nil {
			old.remove(st)
		}
		now.add(st)
	}
	if !ok {
		st.fail(errNoLeader, time.Now())
		s.troubled.Store(true)
	}
}

// loop is the loop of a broker; the first strand that it leads starts it.
func (s *Source) loop(b wire.Broker) *leader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.leaders[b.ID]; l != nil {
		return l
	}
	l := &leader{src: s, addr: b.Addr(), wake: make(chan struct{}, 1)}
	l.unpacker.decoder.Max = s.opt.MaxDecompressed
	s.leaders[b.ID] = l
	s.loops.Go(func() { l.run(s.running) })
	return l
}
