package nats

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// closeIntake ends asking as soon as the strand's context ends, and gives back
// what nobody has seen. What still arrives goes back at once.
func (s *strand) closeIntake() {
	s.mu.Lock()
	s.closed = true
	in := s.in
	s.in, s.inBytes = nil, 0
	s.mu.Unlock()
	if open := s.voidPulls("the strand ended"); open != nil {
		defer open.settle() // so that what is on the way goes back before the connection closes
	}
	bytes := int64(0)
	for _, m := range in {
		bytes += int64(m.Size()) + overhead
		s.giveBack(m)
	}
	if bytes > 0 {
		s.host.Give(bytes)
	}
}

// giveBack returns a message that was never handed out. One that we hold or have
// ended is left to its delivery.
func (s *strand) giveBack(m *nats.Msg) {
	p, ok := parseReply(m.Reply)
	if !ok {
		return
	}
	s.book.mu.Lock()
	known := p.stream <= s.book.top && s.swallow(m, p)
	s.book.mu.Unlock()
	if !known {
		s.send(m.Reply, s.nak())
	}
}

// lastWait bounds how long a strand waits for the server to have everything that
// was settled; a nearer deadline shortens it, to a second at least.
const lastWait = 5 * time.Second

// finish returns when the server has every settlement, or was given up.
func (s *strand) finish(deadline time.Time) {
	limit := lastWait
	if !deadline.IsZero() {
		limit = max(time.Second, min(limit, time.Until(deadline)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		if s.farewell(ctx) {
			return
		}
		changed := s.conn.changed.wait()
		poke(s.kick)
		t := time.NewTimer(50 * time.Millisecond)
		select {
		case <-t.C:
		case <-changed:
		case <-ctx.Done():
			t.Stop()
			s.log.Warn("the server did not confirm the last acknowledgements; these messages may come twice",
				zap.Int("messages", len(s.book.unsafe(s.safe.Load()))))
			return
		}
		t.Stop()
	}
}

// farewell says whether nothing is left to tell: the strand is lost, or the
// server has it all, or it is away and was owed nothing.
func (s *strand) farewell(ctx context.Context) bool {
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone {
		return true
	}
	told := s.confirmAcks(ctx)
	return len(s.book.unsafe(s.safe.Load())) == 0 && (told || !s.open())
}
