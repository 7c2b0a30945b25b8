package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// parkedStrand is one parked partition under one lease, as the worker sees it. Its
// sweeps come and go behind it, each with a strand of the source that is read.
type parkedStrand struct {
	wire.TopicPartition
	parked *Parked
	src    *Source
	lease  *group.Lease
	host   queue.ParkedHost
	entry  queue.Lane
	info   queue.Info
	log    *zap.Logger
	turn   chan struct{} // something happened for the sweep
	wake   chan struct{} // records lie ready for Fetch
	looked chan struct{} // a gate has opened
	id     topicID       // of the topic, when it was last swept

	mu     sync.Mutex
	room   queue.Room
	asks   bool      // Fetch waits
	since  time.Time // when it stopped to
	ready  []*queue.Delivery
	bytes  int64 // of ready
	events []parkedEvent
	opened []queue.Lane // since the sweep last heard of some

	serving *serving // nil between sweeps
	waiting int64    // records that wait in it
	cost    int64    // of them
	status  queue.Status
}

// parkedEvent is the end of a handout.
type parkedEvent struct {
	what   parkedEnd
	record *parkedRecord
}

type parkedEnd int

const (
	parkedTaken parkedEnd = iota
	parkedRefused
	parkedReleased
)

// mostOpened bounds how many lanes a sweep hears of one by one.
const mostOpened = 1024

// Info implements queue.Strand.
func (s *parkedStrand) Info() queue.Info { return s.info }

// Fetch implements queue.Strand.
func (s *parkedStrand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	for {
		if out := s.collect(room); len(out) > 0 {
			return out, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			s.mu.Lock()
			s.asks, s.since = false, time.Now()
			s.mu.Unlock()
			return nil, fmt.Errorf("couldn't fetch from %s: %w", s, context.Cause(ctx))
		}
	}
}

func (s *parkedStrand) collect(room queue.Room) (out []*queue.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(s.ready) && (n == 0 || n < room.Messages) {
		held := s.ready[n].Held()
		if n > 0 && bytes+held > room.Bytes {
			break
		}
		bytes += held
		n++
	}
	if n == 0 {
		s.room, s.asks = room, true
		poke(s.turn)
		return nil
	}
	out = s.ready[:n:n]
	s.ready = s.ready[n:]
	s.bytes -= bytes
	s.asks, s.since = false, time.Now()
	s.status.Position = max(s.status.Position, out[n-1].Message().Position)
	return out
}

// demand is what a waiting Fetch has room for.
func (s *parkedStrand) demand() (queue.Room, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room, s.asks && len(s.ready) == 0
}

// offer lays records ready for Fetch.
func (s *parkedStrand) offer(out []*queue.Delivery) {
	if len(out) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = append(s.ready, out...)
	s.status.Unsettled += int64(len(out))
	for _, d := range out {
		s.bytes += d.Held()
	}
	poke(s.wake)
}

// idle is how long no Fetch has asked.
func (s *parkedStrand) idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asks {
		return 0
	}
	return time.Since(s.since)
}

// take takes back what lies ready when nobody fetches it any more.
func (s *parkedStrand) take(all bool) {
	if !all {
		return
	}
	s.mu.Lock()
	ready := s.ready
	s.ready, s.bytes = nil, 0
	s.mu.Unlock()
	for _, d := range ready {
		d.Release()
		d.Free()
	}
}

// tell passes the end of a handout on to the sweep.
func (s *parkedStrand) tell(e parkedEvent) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.status.Unsettled--
	s.mu.Unlock()
	poke(s.turn)
	if e.what == parkedTaken {
		s.src.commits.settled()
	}
}

// look hears that the gate of a lane has opened. Which one it is matters only to a sweep
// that may have found it shut.
func (s *parkedStrand) look(lane queue.Lane) {
	s.mu.Lock()
	if s.serving != nil && len(s.opened) < mostOpened {
		s.opened = append(s.opened, lane)
	}
	s.mu.Unlock()
	poke(s.turn)
	poke(s.looked)
}

// heard takes what happened since the last call.
func (s *parkedStrand) heard() (events []parkedEvent, lanes []queue.Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events, s.events = s.events, nil
	lanes, s.opened = s.opened, nil
	if v := s.serving; v != nil {
		s.waiting, s.cost = int64(v.plan.waiting), v.cost
	}
	return events, lanes
}
