package worker

import (
	"context"
	"time"
)

// staged are the parts of one Fetch result for one lane, so that the lane is locked once
// and scheduled once. Where they are kept is used again from one Fetch to the next.
type staged struct {
	target      *target
	slot        *slot // of target
	first, last *part
	n           int
	bytes       int64
}

func (s *strand) stage(t *target, sl *slot, p *part) {
	if sl.staged == 0 {
		s.staged = append(s.staged, staged{target: t, slot: sl, first: p})
		sl.staged = len(s.staged)
	} else {
		s.staged[sl.staged-1].last.next = p
	}
	st := &s.staged[sl.staged-1]
	st.last = p
	st.n++
	st.bytes += p.bytes()
}

// offer hands the staged parts to their lanes and schedules those that were idle.
func (s *strand) offer(ctx context.Context) {
	s.skipUnwanted()
	if len(s.staged) == 0 {
		return
	}
	run := make([]*lane, 0, len(s.staged))
	taps := s.w.taps.Load()
	for i := range s.staged {
		if taps != nil {
			s.staged[i].tapped(*taps)
		}
		run = s.hand(ctx, &s.staged[i], run)
	}
	clear(s.staged)
	s.staged = s.staged[:0]
	s.w.runners.schedule(run)
	s.w.closeBatches()
}

// hand offers staged parts to their lane. If it has to be scheduled it is appended to run.
func (s *strand) hand(ctx context.Context, st *staged, run []*lane) []*lane {
	sl := st.slot
	sl.staged = 0
	for {
		l := sl.lane
		if l == nil {
			s.w.runners.schedule(run) // what runs may free the lane we need
			run = run[:0]
			var surplus bool
			if l, surplus = s.findLane(ctx, st); l == nil {
				return run // the strand ends; finish releases the parts
			}
			if !surplus { // else there may be room for it when more comes
				sl.lane = l
			}
		}
		ok, first := l.offer(st.first, st.last, st.n, st.bytes)
		if first {
			run = append(run, l)
		}
		if ok {
			return run
		}
		sl.lane = nil
	}
}

// findLane waits until the lane exists: at `limits.lanes` that takes an idle one
// to stop. A route that parks does so in the end with what has no lane (surplus).
func (s *strand) findLane(ctx context.Context, st *staged) (l *lane, surplus bool) {
	e, key := st.slot.entry, st.target.key.key()
	if l := s.w.lane(e, key); l != nil {
		return l, false
	}
	ctx, cancel := s.untilDrained(ctx)
	defer cancel()
	for {
		if l := s.w.lane(e, key); l != nil {
			return l, false
		}
		if s.passesBy(st, time.Now()) {
			return s.w.surplusLane(e, key), true
		}
		s.setState(strandLanesExhausted, "`limits.lanes` lanes hold parts; a new key has to wait")
		select {
		case <-ctx.Done():
			return nil, false
		case <-time.After(lanesAgain):
		}
	}
}
