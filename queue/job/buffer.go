package job

import (
	"slices"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// admit puts a batch into the buffer; got bytes were taken for it, and err came with
// it.
func (s *strand) admit(b *Batch, err error, got int64, seed *queue.OriginSeed) error {
	if err != nil && b.Next == 0 {
		b.Next = s.mark.Next() // the error came instead
	}
	wrong := s.check(b)
	nothing := len(b.Messages) == 0 && len(b.Damage) == 0 && b.Next == s.mark.Next()
	if wrong == nil && nothing && err == nil {
		wrong = s.defect("a read at %d brought nothing", b.Next)
	}
	var ds []*delivery
	var bytes int64
	if wrong == nil {
		ds, bytes = s.deliveries(b, seed)
	}
	switch {
	case bytes > got:
		s.host.Charge(bytes - got)
	case bytes < got:
		s.host.Give(got - bytes)
	}
	if wrong != nil || nothing {
		s.mu.Lock()
		s.asked = 0
		s.mu.Unlock()
		return wrong
	}
	s.enter(b, ds, bytes)
	return nil
}

// deliveries makes them of what did not end before this start.
func (s *strand) deliveries(b *Batch, seed *queue.OriginSeed) (ds []*delivery, bytes int64) {
	ds = make([]*delivery, 0, len(b.Messages))
	var slab []delivery
	give := s.host.Give
	for i := range b.Messages {
		m := &b.Messages[i]
		if s.before(m.Position) {
			continue
		}
		if len(slab) == 0 {
			slab = make([]delivery, min(deliverySlab, len(b.Messages)-i))
		}
		d := &slab[0]
		slab = slab[1:]
		d.strand, d.bytes = s, int64(len(m.Value))
		held := m.Held()
		if !mutant.On(mutant.NewOrigin) && b.Origins != nil && b.Origins[i] != (queue.Origin{}) {
			d.Init(*m, b.Origins[i], 1, held, d, give)
		} else {
			d.InitAt(*m, seed, 1, held, d, give)
		}
		ds, bytes = append(ds, d), bytes+held
	}
	return ds, bytes
}

// before says that the message at a position ended before this start.
func (s *strand) before(pos int64) bool {
	_, found := slices.BinarySearchFunc(s.done, pos, func(iv queue.Interval, pos int64) int {
		switch {
		case iv.To <= pos:
			return -1
		case iv.From > pos:
			return 1
		}
		return 0
	})
	return found
}

// enter gives a batch its places on the watermark and lets Fetch have it.
func (s *strand) enter(b *Batch, ds []*delivery, bytes int64) {
	weights := s.weigh(ds)
	s.mu.Lock()
	s.asked = 0
	s.sewLocked(b)
	at := 0
	for i := range b.Messages {
		pos := b.Messages[i].Position
		ordinal := s.mark.Add(pos)
		s.added++
		if at < len(ds) && ds[at].Message().Position == pos {
			ds[at].ordinal = ordinal
			at++
			continue
		}
		s.mark.End(ordinal)
		s.marked++
		s.owed--
	}
	s.mark.Advance(b.Next)
	for len(s.done) > 0 && s.done[0].To <= b.Next {
		s.done = s.done[1:]
	}
	closed := s.closed
	if !closed {
		s.in, s.weights, s.inBytes = append(s.in, ds...), append(s.weights, weights...), s.inBytes+bytes
	}
	if len(ds) > 0 {
		s.demand.refill = false
	}
	s.mu.Unlock()
	if closed {
		s.host.Give(bytes)
		return
	}
	if len(ds) < len(b.Messages) || len(b.Messages) == 0 {
		s.src.changed.Store(true)
	}
	poke(s.wake)
}

func (s *strand) weigh(ds []*delivery) []time.Duration {
	gate := s.src.cfg.Gate
	if !gate.limited() {
		return nil
	}
	weights := make([]time.Duration, len(ds))
	for i, d := range ds {
		weights[i] = gate.weigh(d.Message())
	}
	return weights
}
