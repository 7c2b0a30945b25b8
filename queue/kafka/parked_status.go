package kafka

import (
	"time"

	"github.com/flushline/flushline/queue"
)

// Status implements queue.Strand. While a sweep runs it is that of what is read, and
// what waits for its lane counts as buffered.
func (s *parkedStrand) Status() queue.Status {
	s.mu.Lock()
	v, st := s.serving, s.status
	ready, bytes, waiting, cost := int64(len(s.ready)), s.bytes, s.waiting, s.cost
	s.mu.Unlock()
	if v == nil {
		return st
	}
	now := v.strand.Status()
	now.Position, now.Unsettled = st.Position, max(st.Unsettled-ready, 0)
	now.Buffered += waiting + ready
	now.BufferedBytes += cost + bytes
	return now
}

// begin shows a sweep that runs.
func (s *parkedStrand) begin(v *serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serving, s.waiting, s.cost = v, 0, 0
}

// over keeps what a sweep knew until the next one.
func (s *parkedStrand) over(v *serving) {
	now := v.strand.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	now.Position, now.Unsettled = s.status.Position, s.status.Unsettled
	now.Buffered, now.BufferedBytes, now.RequestedBytes = 0, 0, 0
	s.status = now
	s.serving = nil
}

// nothing shows that nothing is parked.
func (s *parkedStrand) nothing(log ends, position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State, s.status.Cause = queue.StateConsuming, ""
	s.status.End, s.status.Lag, s.status.Oldest = log.end-1, 0, time.Time{}
	s.status.Committed = max(position, log.first) - 1
}

// trouble shows why a sweep cannot begin.
func (s *parkedStrand) trouble(err error) {
	_, state := judge(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.State, s.status.Cause = state, err.Error()
}
