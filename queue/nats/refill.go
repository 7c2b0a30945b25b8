package nats

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// oneLarge is held by the one large ask of the process.
var oneLarge atomic.Bool

// largeAsk is the way out when the next message is larger than a whole request
// allowed: one request for one message of the largest size.
type largeAsk struct {
	wanted  bool // the last request was refused for its size alone
	endless bool // even the largest was: ask without a limit
	token   bool // we hold oneLarge
}

// settle ends the large ask when its request has ended.
func (l *largeAsk) settle(p *pulls) {
	if l.token && len(p.live) == 0 {
		l.token, l.wanted = false, false
		oneLarge.Store(false)
	}
}

// plan is what the next request may be.
type plan struct {
	least, most int64 // bytes of the budget to take
	msgs        int
	large       bool
	endless     bool
}

// refill asks the server for more when less than half of what may be outstanding
// is. It waits for bytes of the budget only if nothing else can happen: idle
// says that Fetch has nothing to return. again is when to look again although
// nothing happens, 0 for never.
func (s *strand) refill(ctx context.Context, room queue.Room, idle bool) (again time.Duration, err error) {
	if !s.open() {
		return 0, nil
	}
	if !s.ensureInbox() {
		return backoff(0), nil
	}
	p, again, ok := s.plan(room, idle)
	if !ok {
		return again, nil
	}
	got, err := s.host.Take(ctx, p.least, p.most)
	if err != nil {
		s.abandon(p)
		return 0, fmt.Errorf("couldn't get bytes for a fetch from %s/%s: %w", s.consumer.Stream, s.consumer.Durable, err)
	}
	return s.ask(p, got), nil
}

// plan decides under the lock; it takes the token of a large ask.
func (s *strand) plan(room queue.Room, idle bool) (p plan, again time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	quiet := idle && len(s.in) == 0 && len(s.pulls.live) == 0
	if s.closed {
		return p, 0, false
	}
	if wait := time.Until(s.askAfter); wait > 0 {
		return p, wait, false
	}
	p.msgs = s.roomFor(room)
	if p.msgs <= 0 {
		return p, 0, false
	}
	if s.large.wanted {
		if !quiet {
			return p, 0, false
		}
		if !oneLarge.CompareAndSwap(false, true) {
			return p, 50 * time.Millisecond, false
		}
		s.large.token = true
		return plan{least: s.largest, most: s.largest, msgs: 1, large: true, endless: s.large.endless}, 0, true
	}
	full, out := s.asker.full(), s.pulls.cost()
	if s.side != nil && s.side.probing.Load() {
		full = s.asker.one() // hundreds of lanes may wait for one message each
	}
	batch, _ := s.asker.split(full, maxBatch)
	if len(s.pulls.live) > 0 && 2*s.pulls.msgs > batch && 2*out > full {
		return p, 0, false
	}
	p.msgs = min(p.msgs, maxBatch-s.pulls.msgs)
	p.most = min(full-out, room.Bytes-s.inBytes-out)
	least := s.asker.least()
	switch {
	case quiet:
		p.least = least
		p.most = max(p.most, least)
	case p.most < least || p.msgs <= 0:
		return p, 0, false
	}
	return p, 0, true
}

// roomFor is how many more messages may be asked for. When the window is full it
// notes that a settlement has to wake Fetch.
func (s *strand) roomFor(room queue.Room) int {
	coming := len(s.in) + s.pulls.msgs
	share := int(s.share.Load())
	free := share - int(s.unsettled.Load()) - coming
	if free <= 0 {
		s.starved.Store(true) // before the second look, which may be after the last settlement
		free = share - int(s.unsettled.Load()) - coming
	}
	if free > 0 {
		s.starved.Store(false)
	}
	return min(free, room.Messages-coming)
}

// rest keeps the strand from asking for a while.
func (s *strand) rest(d time.Duration) {
	s.mu.Lock()
	s.askAfter = time.Now().Add(d)
	s.mu.Unlock()
}

// abandon gives up a plan before anything was asked.
func (s *strand) abandon(p plan) {
	if p.large {
		s.mu.Lock()
		s.large.settle(&s.pulls)
		s.mu.Unlock()
	}
}

// ask sends one request that is worth got bytes of the budget.
func (s *strand) ask(p plan, got int64) (again time.Duration) {
	lim := s.numbers.Load().limits
	one := pull{msgs: p.msgs, since: time.Now()}
	s.mu.Lock()
	if !p.large {
		if got < s.asker.least() {
			s.mu.Unlock()
			s.host.Give(got)
			return 0
		}
		most := min(p.msgs, maxBatch)
		if lim.batch > 0 {
			most = min(most, lim.batch)
		}
		one.msgs, one.bytes = s.asker.split(got, most)
	} else {
		one.bytes = got - overhead
	}
	give := int64(0)
	if lim.bytes > 0 && one.bytes > lim.bytes {
		give, one.bytes = one.bytes-lim.bytes, lim.bytes
	}
	if s.closed || s.inbox == nil {
		s.large.settle(&s.pulls)
		s.mu.Unlock()
		s.host.Give(got)
		return 0
	}
	in := s.inbox
	in.next++
	one.id = in.next
	s.pulls.open(one)
	s.mu.Unlock()
	if err := s.conn.request(s.consumer, in, one, lim, p.endless); err != nil {
		give += s.refused(one.id, err.Error())
		again = backoff(0)
	}
	if give > 0 {
		s.host.Give(give)
	}
	return again
}

// refused takes back a request that the server will not serve, and spaces the
// next one out.
func (s *strand) refused(id uint64, why string) (give int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	give, _, _ = s.pulls.ended(id, -1, 0)
	s.large.settle(&s.pulls)
	s.askAfter = time.Now().Add(backoff(s.failures))
	s.failures++
	s.refusal = why
	return give
}

// ensureInbox makes the subscription that answers come to, a new one for each
// connection. Only Fetch makes one. It is false if that failed; the state shows it
// if it goes on.
func (s *strand) ensureInbox() bool {
	line := s.confirmed.Load()
	s.mu.Lock()
	have := s.inbox
	s.mu.Unlock()
	if line == 0 || have != nil && have.line == line {
		return line != 0
	}
	s.voidPulls("the connection was replaced")
	in, err := s.conn.newInbox(line, s.receive)
	if err != nil {
		s.mu.Lock()
		s.askAfter = time.Now().Add(backoff(s.failures))
		s.failures++
		s.refusal = err.Error()
		s.mu.Unlock()
		return false
	}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.inbox = in
	}
	s.mu.Unlock()
	if closed {
		in.close(line)
	}
	return !closed
}

// voidPulls gives up all requests and their inbox. What the server sends to them
// nevertheless is accepted and charged on top.
func (s *strand) voidPulls(why string) (closed *inbox) {
	s.mu.Lock()
	in, live := s.inbox, len(s.pulls.live)
	give := s.pulls.void()
	s.large.settle(&s.pulls)
	s.inbox = nil
	s.waiting = false
	s.mu.Unlock()
	if give > 0 {
		s.host.Give(give)
	}
	if in != nil {
		in.close(s.conn.line.number())
	}
	if live > 0 {
		s.log.Debug("gave up pull requests", zap.Int("requests", live), zap.String("why", why))
	}
	poke(s.wake)
	return in
}

// Final statuses by what follows from them.
const (
	statusHeartbeat    = "100"
	statusNoResponders = "503"
	describeTooLarge   = "Message Size Exceeds MaxBytes"
	describeDeleted    = "Consumer Deleted"
	describeLeader     = "Leadership Change"
	describeShutdown   = "Server Shutdown"
)

// status takes an answer that is no message, on nats.go's goroutine.
func (s *strand) status(m *nats.Msg) {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	if code == "" || code == statusHeartbeat {
		return
	}
	s.mu.Lock()
	id, ours := s.inbox.number(m.Subject)
	s.mu.Unlock()
	if !ours {
		return
	}
	msgs, err1 := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	bytes, err2 := strconv.ParseInt(m.Header.Get("Nats-Pending-Bytes"), 10, 64)
	switch {
	case err1 == nil && err2 == nil:
		s.receipt(id, msgs, bytes, text == describeTooLarge)
	case text == describeDeleted:
		s.shut()
		s.voidPulls(text)
	case text == describeLeader || text == describeShutdown:
		s.voidPulls(text)
		poke(s.kick)
	default:
		if code == statusNoResponders {
			text = "no server answers for the consumer"
			s.shut()
		}
		if give := s.refused(id, code+" "+text); give > 0 {
			s.host.Give(give)
		}
		poke(s.kick)
	}
	poke(s.wake)
}

// receipt settles a request by what its final status leaves.
func (s *strand) receipt(id uint64, msgs int, bytes int64, tooLarge bool) {
	s.mu.Lock()
	wasLarge := s.large.token
	give, one, untouched := s.pulls.ended(id, msgs, bytes)
	s.large.settle(&s.pulls)
	if one.id == id {
		s.asker.used(one.bytes+int64(one.msgs)*overhead, bytes+int64(msgs)*overhead)
		s.large.wanted = tooLarge && untouched
		s.large.endless = s.large.wanted && (wasLarge || s.large.endless)
	}
	s.mu.Unlock()
	if give > 0 {
		s.host.Give(give)
	}
}
