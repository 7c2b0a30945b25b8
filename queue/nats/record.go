package nats

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// record is a held message: the delivery that the worker sees, and what it takes
// to settle it.
type record struct {
	queue.Delivery
	strand *strand
	seq    uint64
	stored int64 // broker time, Unix nanoseconds; the delivery forgets its own
	reply  string
	newer  atomic.Pointer[string] // reply of a later delivery of the same message
	marked int64                  // last mark of life, of package clock; guarded by book.mu
	state  atomic.Uint32          // held, released, deferred, or acked with the generation above it
}

const (
	stateHeld uint32 = iota
	stateReleased
	stateAcked
	stateDeferred
	stateBits = 2
)

// recordSlab is how many records are allocated together.
const recordSlab = 16

func (r *record) acked() (generation uint32, ok bool) {
	s := r.state.Load()
	return s >> stateBits, s&(1<<stateBits-1) == stateAcked
}

func (r *record) held() bool { return r.state.Load() == stateHeld }

// answer is the reply subject to settle with: the newest one known. It may be
// called while a redelivery replaces it; whoever replaces it looks at the state
// afterwards, so one of the two sees the other.
func (r *record) answer() string {
	if p := r.newer.Load(); p != nil {
		return *p
	}
	return r.reply
}

var (
	ackBody  = []byte("+ACK")
	markBody = []byte("+WPI")
)

// Ack implements queue.Settler. What cannot be sent now is sent when the
// incarnation is confirmed on the next connection: book.unsafe finds it.
func (r *record) Ack(*queue.Delivery) {
	s := r.strand
	r.state.Store(s.generation.Load()<<stateBits | stateAcked)
	s.send(r.answer(), ackBody)
	failpoint.Hit(failpoint.AckSent)
	if s.side != nil {
		s.side.ended(r.seq)
	}
	s.settled()
}

// Release implements queue.Settler. The strand has ended: one of its messages
// comes back at once, unless the strand is lost or the server away; then after
// the ack wait.
func (r *record) Release(*queue.Delivery) {
	r.state.Store(stateReleased)
	r.strand.send(r.answer(), r.strand.nak())
	r.strand.settled()
}

// Defer implements queue.Deferrer. The record stays where it is and comes again
// after the probe interval, to this pod or to another one: meanwhile it counts as
// pending, so that a lane's durable that lets out one message at a time lets out
// none.
func (r *record) Defer(*queue.Delivery) {
	s := r.strand
	r.state.Store(stateDeferred)
	s.send(r.answer(), nakBody(probeInterval, probeInterval/4))
	s.rest(deferredRest)
	s.settled()
	if s.side != nil {
		s.side.deferred()
	}
}

// nak is how the strand gives a message back: the other pods share it at once. A
// parked lane that shut leaves it alone for the probe interval.
func (s *strand) nak() []byte {
	if s.side != nil && s.side.shut.Load() {
		return nakBody(probeInterval, probeInterval/4)
	}
	return nakBody(0, 500*time.Millisecond)
}

// nakBody delays the redelivery by a time and up to as much as jitter more.
func nakBody(delay, jitter time.Duration) []byte {
	b, _ := json.Marshal(struct { // a struct of one integer cannot fail
		Delay time.Duration `json:"delay"`
	}{delay + rand.N(jitter)})
	return append([]byte("-NAK "), b...)
}

// fill makes r the delivery of m at p.
func (r *record) fill(s *strand, m *nats.Msg, p position, cost int64) {
	r.strand, r.seq, r.stored, r.reply = s, p.stream, p.time, m.Reply
	msg, origin, brought := messageOf(m, p)
	if brought && !mutant.On(mutant.NewOrigin) {
		r.Init(msg, origin, p.attempt, cost, r, s.give)
		return
	}
	r.InitAt(msg, &s.seed, p.attempt, cost, r, s.give)
}

// messageOf is m as every source hands it out, and the origin that it brings along.
func messageOf(m *nats.Msg, p position) (msg queue.Message, origin queue.Origin, brought bool) {
	headers, origin, brought := convertHeaders(m.Header)
	return queue.Message{
		Value:    m.Data,
		Headers:  headers,
		Subject:  m.Subject,
		Position: int64(p.stream),
		Time:     time.Unix(0, p.time),
	}, origin, brought
}

// Received is a message that the server sent in answer to a pull request.
type Received struct {
	Message  queue.Message
	Origin   queue.Origin // that it brought along; zero: none, it derives from its place
	Delivery uint64       // its number among the deliveries of the consumer, from 1
}

// Receive reads one as a Source does. It is false for what JetStream did not
// deliver.
func Receive(m *nats.Msg) (Received, bool) {
	p, ok := parseReply(m.Reply)
	if !ok {
		return Received{}, false
	}
	msg, origin, _ := messageOf(m, p)
	return Received{Message: msg, Origin: origin, Delivery: p.delivery}, true
}

// convertHeaders also finds the origin that a message brings along.
func convertHeaders(h nats.Header) (headers []queue.Header, origin queue.Origin, ok bool) {
	if len(h) == 0 {
		return nil, origin, false
	}
	headers = make([]queue.Header, 0, len(h)) // one value each, nearly always
	for key, values := range h {
		for _, v := range values {
			headers = append(headers, queue.Header{Key: key, Value: v})
		}
		if len(key) == len(queue.HeaderOrigin) && len(values) > 0 && strings.EqualFold(key, queue.HeaderOrigin) {
			origin, ok = queue.ParseOrigin(values[0])
		}
	}
	return headers, origin, ok
}
