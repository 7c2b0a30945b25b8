package nats

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/queue"
)

// strand is one incarnation of one consumer. Three kinds of goroutines meet in
// it: nats.go's, which brings messages and statuses (receive), the worker's
// single Fetch, and those that settle deliveries (record.Ack).
type strand struct {
	source   string
	consumer Consumer
	birth    *birth
	seed     queue.OriginSeed
	conn     *Conn
	host     queue.Host
	log      *zap.Logger
	window   int   // messages this pod wants to hold at most
	largest  int64 // of any message, for the one large ask
	pods     int
	give     func(int64)
	end      func(why string) // ends the strand's context as Lost
	side     *side            // of a parked lane; nil: live traffic

	wake chan struct{} // Fetch has a reason to look again
	kick chan struct{} // the watch has a reason to ask the server
	stir chan struct{} // the first message after a silence is held
	mind chan struct{} // the keeper has a reason to confirm acknowledgements

	// What nats.go's goroutine and Fetch share.
	mu       sync.Mutex
	in       []*nats.Msg
	inBytes  int64
	inSince  time.Time // when the oldest of in arrived, or was marked last
	waiting  bool      // Fetch sleeps
	pulls    pulls
	asker    asker
	inbox    *inbox
	askAfter time.Time // a refused request is not repeated before
	failures int       // refused requests in a row
	refusal  string    // why the last was refused
	large    largeAsk
	closed   bool      // no more asks; what arrives goes back
	doubts   int64     // reasons to confirm the incarnation again, so far
	gone     bool      // Lost: never confirmed again
	remember time.Time // until when ended sequences are not forgotten

	book       *book
	generation atomic.Uint32 // of acknowledgements; see confirmAcks
	safe       atomic.Uint32 // acknowledgements of older generations are with the server
	acks       atomic.Int64  // sent or owed
	unsettled  atomic.Int64
	starved    atomic.Bool  // Fetch waits for the window
	confirmed  atomic.Int64 // the connection on which the incarnation was confirmed; 0: none
	heard      atomic.Int64 // messages, statuses and heartbeats received
	delivered  atomic.Int64 // messages received
	accepted   atomic.Int64 // of those, the ones that Fetch looked at
	redeliverd atomic.Int64
	gaveUp     atomic.Int64 // advisories of exceeded delivery limits
	terminated atomic.Int64 // advisories of messages that ended unacknowledged
	position   atomic.Int64
	share      atomic.Int64 // window, or this pod's part of the server's limit
	numbers    atomic.Pointer[numbers]
	turn       chan struct{} // held by whoever confirms or repeats acknowledgements
	behind     horizon       // guarded by book.mu

	// Only Fetch.
	slab  []record
	spare []*nats.Msg
}

func newStrand(s *Source, one Consumer, b *birth, h queue.Host, lane *side, end func(string)) *strand {
	st := &strand{
		source:   s.opt.Name,
		consumer: one,
		birth:    b,
		seed:     b.seed(one.Stream),
		conn:     s.conn,
		host:     h,
		log:      s.log.With(zap.String("stream", one.Stream), zap.String("durable", one.Durable)),
		window:   s.opt.Window,
		largest:  max(s.opt.MaxMessage, s.conn.nc.MaxPayload()) + 8<<10,
		pods:     s.cfg.MaxPods,
		give:     h.Give,
		end:      end,
		side:     lane,
		wake:     make(chan struct{}, 1),
		kick:     make(chan struct{}, 1),
		mind:     make(chan struct{}, 1),
		stir:     make(chan struct{}, 1),
		turn:     make(chan struct{}, 1),
		asker:    newAsker(),
		book:     newBook(),
	}
	if lane != nil {
		st.asker = askerFor(lane.size)
	}
	st.generation.Store(1)
	st.safe.Store(1)
	st.position.Store(-1)
	st.confirmed.Store(b.line)
	st.numbers.Store(&numbers{state: queue.StateJoining})
	st.learn(b.consumer, b.stream)
	return st
}

// Info implements queue.Strand.
func (s *strand) Info() queue.Info {
	name := s.consumer.Durable
	if s.side != nil {
		name = s.side.name
	}
	return queue.Info{
		Source:      s.source,
		Name:        s.consumer.Stream + "/" + name,
		Incarnation: s.birth.String(),
		Parked:      s.side != nil,
	}
}

// settled counts a settlement and wakes a Fetch that waits for the window.
func (s *strand) settled() {
	s.acks.Add(1)
	s.unsettled.Add(-1)
	if s.starved.Load() {
		poke(s.wake)
	}
}

// receive takes what nats.go brings, on nats.go's goroutine.
func (s *strand) receive(m *nats.Msg) {
	s.heard.Add(1)
	if m.Reply == "" {
		s.status(m)
		return
	}
	size := int64(m.Size())
	s.delivered.Add(1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.giveBack(m)
		return
	}
	if len(s.in) == 0 {
		s.inSince = time.Now()
	}
	s.in = append(s.in, m)
	s.inBytes += size + overhead
	charge, give := s.pulls.arrived(size)
	s.failures = 0
	asleep := s.waiting
	s.waiting = false
	if give > 0 {
		s.large.settle(&s.pulls)
	}
	s.mu.Unlock()
	if charge > 0 {
		s.host.Charge(charge)
	}
	if give > 0 {
		s.host.Give(give)
	}
	if asleep {
		poke(s.wake)
	}
}

// Fetch implements queue.Strand.
func (s *strand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	for {
		out, bytes := s.accept(s.collect(room))
		left := queue.Room{Messages: room.Messages - len(out), Bytes: room.Bytes - bytes}
		again, err := s.refill(ctx, left, len(out) == 0)
		if len(out) > 0 {
			return out, nil
		}
		if err == nil {
			err = s.sleep(ctx, again)
		}
		if err != nil {
			return nil, err
		}
	}
}

// sleep waits until something arrived, something changed, or d passed (0: no
// limit).
func (s *strand) sleep(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	s.waiting = len(s.in) == 0
	ready := !s.waiting
	s.mu.Unlock()
	if ready {
		return nil
	}
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-s.wake:
	case <-after:
	case <-ctx.Done():
		return fmt.Errorf("couldn't fetch from %s/%s: %w", s.consumer.Stream, s.consumer.Durable, context.Cause(ctx))
	}
	return nil
}

// collect takes what lies in the buffer and fits into room, at least one
// message. The time is the last sign of life that the server has had for them.
func (s *strand) collect(room queue.Room) (batch []*nats.Msg, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, bytes := 0, int64(0)
	for k < len(s.in) && (k == 0 || k < room.Messages) {
		size := int64(s.in[k].Size())
		if k > 0 && bytes+size+overhead > room.Bytes {
			break
		}
		s.asker.saw(size)
		bytes += size + overhead
		k++
	}
	since = s.inSince
	s.inBytes -= bytes
	if k == len(s.in) {
		s.in, s.spare, batch = s.spare[:0], s.in, s.in
		return batch, since
	}
	batch = append(s.spare[:0], s.in[:k]...)
	s.spare = batch
	rest := copy(s.in, s.in[k:])
	clear(s.in[rest:])
	s.in = s.in[:rest]
	return batch, since
}

// accept turns received messages into deliveries. A message that is held, or
// ended a moment ago, is settled here and goes no further.
func (s *strand) accept(batch []*nats.Msg, since time.Time) (out []*queue.Delivery, bytes int64) {
	if len(batch) == 0 {
		return nil, 0
	}
	out = make([]*queue.Delivery, 0, len(batch))
	stamp, third := clock.Of(since), int64(s.numbers.Load().ackWait/3)
	b := s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range batch {
		cost := int64(m.Size()) + overhead
		p, ok := parseReply(m.Reply)
		if !ok || (p.stream <= b.top && s.swallow(m, p)) {
			s.host.Give(cost)
			continue
		}
		if p.attempt > 1 {
			s.redeliverd.Add(1)
		}
		r := s.newRecord()
		r.fill(s, m, p, cost)
		r.marked = stamp - int64(p.stream%64)*third/128 // spreads the marks
		b.add(r)
		out = append(out, &r.Delivery)
		bytes += cost
	}
	s.accepted.Add(int64(len(batch)))
	clear(batch)
	if s.unsettled.Add(int64(len(out))) == int64(len(out)) {
		poke(s.stir)
	}
	if b.top > 0 {
		s.position.Store(int64(b.top))
	}
	if len(b.line) >= b.sweepAt {
		b.sweep(s.safe.Load(), time.Now())
		if len(b.line)-int(s.unsettled.Load()) > 4096 {
			poke(s.mind)
		}
	}
	return out, bytes
}

func (s *strand) newRecord() *record {
	if len(s.slab) == 0 {
		s.slab = make([]record, recordSlab)
	}
	r := &s.slab[0]
	s.slab = s.slab[1:]
	return r
}

// swallow settles a delivery of a message that we know, and says whether we do.
// The book is locked.
func (s *strand) swallow(m *nats.Msg, p position) bool {
	var known, other bool
	if r := s.book.find(p.stream); r != nil {
		known, other = true, r.stored != p.time
		if !other {
			reply := m.Reply // not m: it would keep the payload
			r.newer.Store(&reply)
			if _, acked := r.acked(); acked {
				s.send(m.Reply, ackBody)
			} else if !r.held() { // given back before: to the server it is a new delivery
				s.book.remove(r)
				return false
			}
		}
	} else if known, other = s.book.ended.has(p.stream, p.time); known && !other {
		s.send(m.Reply, ackBody)
	}
	if !known {
		return false
	}
	s.redeliverd.Add(1)
	if other {
		s.lose(fmt.Sprintf("sequence %d came back as another message: the stream was made anew or has lost data", p.stream))
	}
	return true
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
