package kafka

import (
	"time"

	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// What the loop of a broker does with a strand: it claims it for a request, opens
// its part of the answer, unpacks that without any lock, and lands the haul. Only
// one answer is ever between open and land, also while the strand moves from one
// loop to another.

// claim reserves a strand for one request.
func (s *strand) claim(l *leader, w wish) (wire.FetchPartition, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.leader != l || s.next < 0 || s.barredLocked() || s.asked != nil || s.taking || !s.demand.any() {
		return wire.FetchPartition{}, false
	}
	s.asked, s.wished = l, w.held
	s.demand.refill = false
	s.seen = time.Now()
	return wire.FetchPartition{TopicPartition: s.TopicPartition, Offset: s.next, LeaderEpoch: -1, MaxBytes: int32(w.inLog)}, true
}

// unclaim ends a claim without an answer. It is false when the strand has moved on
// meanwhile.
func (s *strand) unclaim(l *leader) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	ours := s.asked == l
	if ours {
		s.asked = nil
	}
	return ours && !s.closed
}

// opened is what an answer is unpacked against.
type opened struct {
	from   int64 // the offset that was asked for
	enough int64 // bytes held after which the rest is left for the next request
	most   int   // messages until the window or the span is used up
	cursor *cursor
}

// open begins with a strand's part of an answer.
func (s *strand) open(l *leader, p *wire.FetchedPartition) (opened, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != l {
		return opened{}, false
	}
	s.asked = nil
	if s.closed || s.next < 0 {
		return opened{}, false
	}
	s.taking = true
	s.seen = time.Now()
	s.hearLocked(p)
	most := min(s.windowLeftLocked(), s.src.cfg.Span-s.cursor.mark.Span())
	return opened{from: s.next, enough: max(2*s.wished, leastEnough), most: max(1, most), cursor: s.cursor}, true
}

// hearLocked takes over what a broker says of the log; -1 is nothing.
func (s *strand) hearLocked(p *wire.FetchedPartition) {
	end := p.HighWatermark
	if s.src.cfg.Isolation == ReadCommitted && p.LastStable >= 0 {
		end = p.LastStable
	}
	if end >= 0 {
		s.ends.end = end
	}
	if p.LogStart >= 0 {
		s.ends.first = p.LogStart
	}
}

// haul is what one answer brought for one strand.
type haul struct {
	ds      []*queue.Delivery
	held    int64
	inLog   int // bytes that became ds
	next    int64
	samples []sample
	passed  [reasons]int64
	need    int64 // not even the first batch was there whole: it has so many bytes
}

// land puts a haul into the buffer. It is false when the strand has ended and
// nothing was kept.
func (s *strand) land(h *haul, now time.Time, good bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taking = false
	if s.closed {
		return false
	}
	for r, n := range h.passed {
		s.passed.add(reason(r), n)
	}
	if good || h.next > s.next {
		s.trouble.clear()
	}
	s.scale.learn(len(h.ds), h.held, h.inLog)
	s.scale.least = min(h.need, largestSet)
	s.hot = len(h.ds) > 0
	if h.next > s.next {
		s.next, s.moved = h.next, now
		s.cursor.mark.Advance(h.next)
	}
	if len(h.ds) == 0 {
		s.pokeLeader()
		return true
	}
	s.turn.Store(clock.Of(now))
	if len(s.in) == 0 {
		s.in = h.ds
	} else {
		s.in = append(s.in, h.ds...)
	}
	s.inBytes += h.held
	if len(s.samples) > mostSamples {
		s.trimSamplesLocked()
	}
	s.samples = append(s.samples, h.samples...)
	s.demand = demand{}
	poke(s.wake)
	return true
}

// stray says that the position is not in the log; the next Fetch finds another. A
// strand that is asked for elsewhere by now may get another answer there.
func (s *strand) stray(from int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != nil || s.taking || s.next != from {
		return
	}
	s.next, s.want = -1, wanted{position: from, refused: true, cut: -1}
	s.trouble.clear()
	poke(s.wake)
}

// prefer reads from a replica that is nearer than the leader.
func (s *strand) prefer(replica int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replica = replica
}

// forgetReplica goes back to the leader; it says whether there is a change.
func (s *strand) forgetReplica() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.replica
	s.replica = -1
	return was >= 0
}
