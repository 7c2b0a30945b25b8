package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// strand is one partition under one lease. Three kinds of goroutines meet in it:
// the loop of the broker that it is read from (share), the worker's single Fetch,
// and those that settle deliveries.
type strand struct {
	wire.TopicPartition
	src      *Source
	lease    *group.Lease
	doubtful func() bool // of the lease: it may be another member's by now
	info     queue.Info
	seed     *queue.OriginSeed // nil, guarded by mu: the topic's id is not known yet, and it is not read
	host     queue.Host
	give     func(int64)
	log      *zap.Logger
	passed   *passed
	first    bool             // of its lease
	from     *inheritance     // what an earlier strand of the lease left to this one; nil: the group's offset says it
	wake     chan struct{}    // Fetch has a reason to look again
	lose     func(why string) // ends the strand's context as Lost

	cursor    *cursor      // set under mu, once the first position is known, and before the first delivery
	position  atomic.Int64 // the newest handed out; -1: none
	unsettled atomic.Int64 // handed out
	turn      atomic.Int64 // round of its leader that served it last

	mu        sync.Mutex
	closed    bool
	in        []*queue.Delivery // received, not handed out
	inBytes   int64
	want      wanted    // with next -1
	next      int64     // the offset to ask for; -1 while it is not known
	demand    demand    // whether and how much may be asked for
	leader    *leader   // nil: nobody leads it, as far as we know
	asked     *leader   // a request of this one that names it is out
	wished    int64     // bytes held that were asked for
	taking    bool      // an answer is being taken apart
	replica   int32     // read this broker instead of the leader; -1: none
	scale     scale     // how bytes of the log become bytes held
	hot       bool      // its last answer brought messages
	ends      ends      // of the log, as last heard
	samples   []sample  // broker times, to say how old the oldest is
	seen      time.Time // when it was last asked for, answered for or fetched from
	moved     time.Time // when next moved last, or Fetch began to wait
	trouble   trouble   // why nothing comes
	again     *wanted   // where the next strand of the lease begins, after this one was lost
	suspect   string    // why the topic may be another one; empty: it is not
	doubtedAt time.Time
	doubts    int       // how many there were: a check clears only those before it
	checking  bool      // a suspicion is being looked into
	unknown   error     // why the last look into it did not end it
	id        topicID   // of the topic that it reads; zero: not known yet
	unsure    time.Time // since when it is not read before brokers confirmed the id; zero: it may be
	disowned  time.Time // since when its lease was seen to be doubtful; zero: it is not
	starved   bool      // its span was used up for a while
	full      time.Time // when that was last seen while Fetch waits; zero: never
	shown     string    // the state that was logged last
}

// ends are the bounds of the log; -1: not heard yet.
type ends struct{ first, end int64 }

// sample is the broker time of the message at a position.
type sample struct {
	position int64
	time     time.Time
}

// sampleEvery is how many messages share a sample; with more than mostSamples, those
// of messages that have ended are forgotten.
const (
	sampleEvery = 64
	mostSamples = 1024
)

// demand is what a strand allows to be asked for. It is the worker's room, and
// after a Fetch that left the buffer low one refill of what is left of it.
type demand struct {
	waiting bool // Fetch waits
	refill  bool // one answer may come although Fetch does not wait
	room    queue.Room
}

func (d *demand) any() bool { return d.waiting || d.refill }

// Info implements queue.Strand.
func (s *strand) Info() queue.Info { return s.info }

// Fetch implements queue.Strand.
func (s *strand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	for {
		out, stray := s.collect(room)
		if len(out) > 0 {
			return out, nil
		}
		if stray {
			if err := s.locate(ctx); err != nil {
				return nil, err
			}
			continue
		}
		var settled <-chan time.Time
		if s.doubtful() { // nobody says when that ends
			settled = time.After(doubtAgain)
		}
		select {
		case <-s.wake:
		case <-settled:
		case <-ctx.Done():
			s.mu.Lock()
			s.demand.waiting = false
			s.mu.Unlock()
			return nil, fmt.Errorf("couldn't fetch from %s: %w", s, context.Cause(ctx))
		}
	}
}

// collect takes what lies in the buffer and fits into room, at least one message.
// When there is none, it lets the loop ask; stray says that it must be found out
// first where to read.
func (s *strand) collect(room queue.Room) (out []*queue.Delivery, stray bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumeLocked(now)
	if len(s.in) == 0 || s.closed || s.doubtful() {
		if !s.demand.waiting {
			s.moved = now
		}
		s.demand = demand{waiting: true, room: room}
		s.pokeLeader()
		return nil, s.next < 0 && s.suspect == "" && !s.closed
	}
	n, bytes := 0, int64(0)
	for n < len(s.in) && (n == 0 || n < room.Messages) {
		held := s.in[n].Held()
		if n > 0 && bytes+held > room.Bytes {
			break
		}
		bytes += held
		n++
	}
	out = s.in[:n:n]
	s.in = s.in[n:]
	s.inBytes -= bytes
	s.unsettled.Add(int64(n))
	s.position.Store(out[n-1].Message().Position)
	s.demand = demand{room: queue.Room{Messages: room.Messages - n, Bytes: room.Bytes - bytes}}
	if s.inBytes <= bytes && s.demand.room.Messages > len(s.in) && s.demand.room.Bytes > s.inBytes {
		s.demand.refill = true
		s.pokeLeader()
	}
	return out, false
}

func (s *strand) pokeLeader() {
	if s.leader != nil {
		poke(s.leader.wake)
	}
}

// close ends the strand for the loops: what lies in the buffer is given back, and
// what still comes is dropped.
func (s *strand) close() {
	s.mu.Lock()
	in, bytes := s.in, s.inBytes
	s.closed = true
	s.in, s.inBytes = nil, 0
	s.demand = demand{}
	l := s.leader
	s.leader = nil
	s.mu.Unlock()
	if l != nil {
		l.remove(s)
	}
	if len(in) > 0 {
		s.host.Give(bytes)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
