package job

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// feed goes through the plan and has the shard's slices read, some at a time, until
// all were begun or ctx ends. It has never more of the plan in memory than one
// piece and what is open. It says whether all were begun.
func (s *Source) feed(ctx context.Context, h queue.Host) (whole bool) {
	room := make(chan struct{}, s.cfg.Open)
	n := int64(0)
	for slice, err := range s.cfg.Slices(ctx) {
		if err == nil && slice.Shard == s.cfg.Shard {
			err = s.next(ctx, &slice, n, h, room)
			n++
		}
		if ctx.Err() != nil {
			return false
		}
		if err != nil {
			s.fail(err)
			return false
		}
	}
	if err := s.complete(n); err != nil {
		s.fail(err)
		return false
	}
	return true
}

// next begins a slice that has not ended yet, when there is room.
func (s *Source) next(ctx context.Context, slice *Slice, n int64, h queue.Host, room chan struct{}) error {
	left, ended, err := s.resume(slice, n)
	if ended || err != nil {
		return err
	}
	st := s.newStrand(slice, n, h, left)
	if slice.To >= 0 && st.mark.Next() == slice.To {
		st.finish(nil)
		s.endSlice(st)
		return nil
	}
	select {
	case room <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	s.mu.Lock()
	s.open[n] = st
	delete(s.left, n)
	s.mu.Unlock()
	s.serves.Go(func() {
		s.serve(ctx, st)
		<-room
	})
	return nil
}

// resume says what an earlier start left of a slice.
func (s *Source) resume(slice *Slice, n int64) (left *openSlice, ended bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.past.has(n) {
		return nil, true, nil
	}
	left = s.left[n]
	switch {
	case left == nil:
	case left.Name != nameInCheckpoint(slice.Name), left.At < slice.From, slice.To >= 0 && left.At > slice.To:
		return nil, false, fmt.Errorf("the checkpoint of shard %d does not belong to the plan: it has %s open at %d, where the plan has %s from %d to %d",
			s.cfg.Shard, left.Name, left.At, slice.Name, slice.From, slice.To)
	}
	return left, false, nil
}

// complete checks that the plan was read to its end.
func (s *Source) complete(n int64) error {
	planned := s.cfg.Manifest.Shards[s.cfg.Shard].Slices
	s.mu.Lock()
	defer s.mu.Unlock()
	if n != planned || len(s.left) > 0 || s.past.below > n {
		return fmt.Errorf("the plan of job %q has %d slices of shard %d, and its manifest says %d: one of them is damaged", s.cfg.Manifest.Job, n, s.cfg.Shard, planned)
	}
	return nil
}

// serve has one slice consumed until it has ended or ctx ends.
func (s *Source) serve(ctx context.Context, st *strand) {
	pumping, cancel := context.WithCancel(ctx)
	pumped := make(chan struct{})
	go func() { defer close(pumped); st.pump(pumping) }()
	err := st.host.Serve(ctx, st)
	cancel()
	<-pumped
	finished := st.finished() // what lies in the buffer has not ended
	st.close()
	switch {
	case finished:
		s.endSlice(st)
	case ctx.Err() != nil: // it stays open in the checkpoint
	case err != nil:
		s.fail(fmt.Errorf("couldn't read %s: %w", st.slice.Name, err))
	default:
		s.giveUp(st)
	}
}

// giveUp leaves a slice open that was read to its end, and of which not all could
// end: without a dead letter queue there is nowhere to put it.
func (s *Source) giveUp(st *strand) {
	st.mu.Lock()
	n := st.released
	st.mu.Unlock()
	err := &GivenBackError{Slice: st.slice.Name, Messages: n}
	st.log.Error("the slice ended without some of its messages", zap.Error(err))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.undone == nil {
		s.undone = err
	}
}

// endSlice adds a slice to what has ended.
func (s *Source) endSlice(st *strand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.foldLocked(st.mark.Low())
	st.counts.addTo(&s.kept.Totals, *s.ends.all.Load())
	s.kept.forgive(st.owed)
	s.kept.Slices++
	s.kept.Stored += st.slice.Size
	if f := st.failure; f != nil {
		s.kept.Failed++
		s.kept.Failure = note(s.kept.Failure, *f)
	}
	s.closedEnds += st.ended
	s.past.add(st.n)
	delete(s.open, st.n)
	delete(s.left, st.n)
	s.changed.Store(true)
}

// forgive takes back that messages were passed over: they had ended before this
// start, were counted as what they were, and are gone since.
func (t *Totals) forgive(messages int64) {
	for _, reason := range []string{PassedExpired, PassedAbsent, PassedCompacted} {
		n := max(0, min(messages, t.Passed[reason]))
		messages -= n
		switch {
		case n == 0:
		case n == t.Passed[reason]:
			delete(t.Passed, reason)
		default:
			t.Passed[reason] -= n
		}
	}
	if len(t.Passed) == 0 {
		t.Passed = nil
	}
}
