package nats

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/mutant"
)

// open says whether the server on the present connection is known to have this
// incarnation. Only then is anything acknowledged, marked or given back.
func (s *strand) open() bool {
	n := s.confirmed.Load()
	return n > 0 && n == s.conn.line.number()
}

// send answers a delivery, or does nothing if the incarnation is not confirmed.
// Between the check and the write the connection may be replaced by another; the
// time of a whole reconnect would have to pass between two instructions.
func (s *strand) send(reply string, body []byte) {
	if !s.open() && !mutant.On(mutant.LateAck) {
		return
	}
	if err := s.conn.nc.Publish(reply, body); err != nil {
		s.shut() // nothing was kept: the next confirmation repeats it
	}
}

// shut stops all settling until the incarnation is confirmed again.
func (s *strand) shut() {
	s.mu.Lock()
	s.doubts++
	s.confirmed.Store(0)
	s.mu.Unlock()
	poke(s.kick)
}

// lose ends the strand for good: nothing is settled any more.
func (s *strand) lose(why string) {
	s.mu.Lock()
	s.gone = true
	s.confirmed.Store(0)
	s.mu.Unlock()
	s.end(why)
}

// takeTurn waits until nobody else confirms or repeats acknowledgements, which may
// take as long as the server is silent, or until ctx ends: then it is false.
func (s *strand) takeTurn(ctx context.Context) bool {
	select {
	case s.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *strand) endTurn() { <-s.turn }

// confirm lets settling go on over a connection on which the incarnation was
// seen, unless doubts came up since the question was asked. It repeats the
// acknowledgements that may have been lost with the connection before.
func (s *strand) confirm(ctx context.Context, line, doubts int64) {
	if !s.takeTurn(ctx) {
		return
	}
	defer s.endTurn()
	s.mu.Lock()
	ok := !s.gone && (s.doubts == doubts || mutant.On(mutant.StaleConfirm)) && s.conn.line.number() == line
	fresh := ok && s.confirmed.Load() != line
	if fresh {
		s.confirmed.Store(line)
		// While it was away the server could deliver nothing again, so that time does
		// not count.
		s.remember = time.Now().Add(rememberFor * s.numbers.Load().ackWait)
	}
	s.mu.Unlock()
	if !fresh {
		return
	}
	replies := s.book.unsafe(s.safe.Load())
	for _, reply := range replies {
		if mutant.On(mutant.ForgetAcks) {
			break
		}
		s.send(reply, ackBody)
	}
	if len(replies) > 0 {
		s.log.Info("repeated acknowledgements that the server may not have", zap.Int("messages", len(replies)))
	}
	poke(s.mind)
	poke(s.wake)
}

// confirmAcks makes sure that the server has every acknowledgement made so far,
// so that they need not be repeated after a reconnect. Acknowledgements carry the
// generation they were made in; an answered ping makes all before it safe.
func (s *strand) confirmAcks(ctx context.Context) bool {
	if !s.takeTurn(ctx) {
		return false
	}
	defer s.endTurn()
	line := s.conn.line.number()
	if !s.open() {
		return false
	}
	next := s.generation.Add(1)
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	if err := s.conn.nc.FlushWithContext(ctx); err != nil || !s.open() || s.confirmed.Load() != line {
		return false
	}
	s.safe.Store(next)
	return true
}

const (
	keepInterval = 250 * time.Millisecond
	rememberFor  = 2 // ack waits; a redelivery that waits for a request comes late
)

// keep confirms acknowledgements and marks what is held, until ctx ends. It goes
// on while the strand drains.
func (s *strand) keep(ctx context.Context) {
	tick := time.NewTicker(keepInterval)
	defer tick.Stop()
	acks := int64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.mind:
		}
		now := time.Now()
		s.mark(now)
		if n := s.acks.Load(); n != acks && s.confirmAcks(ctx) {
			acks = n
			s.tidy(now)
		}
	}
}

// tidy lets go of what is settled, and of old memories.
func (s *strand) tidy(now time.Time) {
	s.mu.Lock()
	remember := s.remember
	s.mu.Unlock()
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	s.book.sweep(s.safe.Load(), now)
	// A redelivery may lie in the buffer for as long as the worker has no room.
	looked := s.behind.move(now, s.delivered.Load(), s.accepted.Load())
	if now.After(remember) {
		s.book.ended.forget(looked.Add(-rememberFor * s.numbers.Load().ackWait))
	}
}

// mark tells the server that what we hold is in progress, before a third of the
// ack wait has passed since it last heard so.
func (s *strand) mark(now time.Time) {
	if !s.open() {
		return
	}
	if mutant.On(mutant.NoInProgress) {
		return
	}
	before := now.Add(keepInterval - s.numbers.Load().ackWait/3)
	for _, reply := range s.book.due(before, now) {
		s.send(reply, markBody)
	}
	for _, reply := range s.dueBuffered(before, now) {
		s.send(reply, markBody)
	}
}

func (s *strand) dueBuffered(before, now time.Time) (replies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.in) == 0 || s.inSince.After(before) {
		return nil
	}
	s.inSince = now
	for _, m := range s.in {
		replies = append(replies, m.Reply)
	}
	return replies
}
