package kafka

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// stallAfter is how long a strand may have lag, a Fetch that waits and no progress
// before it is called stalled.
const stallAfter = 30 * time.Second

// Status implements queue.Strand.
func (s *strand) Status() queue.Status {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.committedLocked()
	st := queue.Status{
		Position:      s.position.Load(),
		Committed:     c.committed - 1,
		CommittedAt:   c.at,
		End:           s.ends.end - 1,
		Lag:           -1,
		Unsettled:     s.unsettled.Load(),
		Buffered:      int64(len(s.in)),
		BufferedBytes: s.inBytes,
		PassedOver:    s.passed.counts(),
	}
	if c.committed < 0 {
		st.Committed = -1
	}
	if s.ends.end < 0 {
		st.End = -1
	} else {
		st.Lag = max(0, s.ends.end-max(c.committed, s.ends.first, 0))
	}
	if st.Unsettled > 0 {
		st.Oldest = s.oldestLocked()
	}
	st.Full = s.demand.waiting && len(s.in) == 0 && s.cursor != nil && s.cursor.mark.Span() >= s.src.cfg.Span
	st.State, st.Cause = s.stateLocked(now)
	return st
}

// committedLocked is what is committed, as far as we know; before the first
// position there is no cursor.
func (s *strand) committedLocked() standing {
	if s.cursor == nil {
		return standing{committed: -1}
	}
	return s.cursor.status()
}

// stateLocked names the state the strand is in.
func (s *strand) stateLocked(now time.Time) (state, cause string) {
	switch {
	case s.closed:
		return queue.StateEnded, ""
	case s.suspect != "" && now.Sub(s.doubtedAt) > blip:
		return queue.StateTopicMissing, s.suspect
	case s.trouble.state != "" && s.trouble.state != queue.StateConsuming && s.trouble.since.Before(now.Add(-blip)):
		return s.trouble.state, s.trouble.cause
	case s.next < 0:
		return queue.StateJoining, "looks for the position to read from"
	case s.stalledLocked(now):
		return queue.StateStalled, fmt.Sprintf("%d messages are in the log and nothing came for %v: %s",
			s.ends.end-s.next, now.Sub(s.moved).Truncate(time.Second), s.whyLocked(now))
	}
	return queue.StateConsuming, ""
}

// blip is how long trouble may last before it is a state: a leader that moves is
// none.
const blip = time.Second

// stalledLocked is the watchdog: there is something to read, the worker waits for
// it, and it does not come.
func (s *strand) stalledLocked(now time.Time) bool {
	return s.demand.waiting && len(s.in) == 0 && s.next >= 0 && s.ends.end > s.next && now.Sub(s.moved) > stallAfter
}

// whyLocked is the most likely reason of a stall.
func (s *strand) whyLocked(now time.Time) string {
	switch {
	case s.trouble.cause != "":
		return s.trouble.cause
	case s.leader == nil:
		return errNoLeader.Error()
	case !s.unsure.IsZero():
		return "after its pause no broker has said yet that the topic is the one it was"
	case s.cursor.mark.Span() >= s.src.cfg.Span:
		return fmt.Sprintf("the oldest unended message, at %d, is %d messages behind the newest: as many as span allows", s.cursor.mark.Low(), s.cursor.mark.Span())
	case s.asked != nil:
		return "broker " + s.leader.address() + " does not answer"
	}
	if why := s.leader.why(now); why != "" {
		return why
	}
	return "broker " + s.leader.address() + " answers without messages"
}

// oldestLocked is the broker time of about the oldest message that is not settled.
func (s *strand) oldestLocked() time.Time {
	s.trimSamplesLocked()
	if len(s.samples) == 0 {
		return time.Time{}
	}
	return s.samples[0].time
}

// trimSamplesLocked forgets the samples of messages that have ended.
func (s *strand) trimSamplesLocked() {
	low := s.cursor.mark.Low()
	n := 0
	for n+1 < len(s.samples) && s.samples[n+1].position <= low {
		n++
	}
	s.samples = s.samples[n:]
}

// watchState logs when the state changes.
func (s *strand) watchState(now time.Time) {
	s.mu.Lock()
	state, cause := s.stateLocked(now)
	before := s.shown
	s.shown = state
	s.mu.Unlock()
	switch {
	case state == before || before == "" && state == queue.StateConsuming:
	case state == queue.StateConsuming || state == queue.StateEnded:
		s.log.Info("strand is now "+state, zap.String("before", before))
	default:
		s.log.Warn("strand is now "+state, zap.String("before", before), zap.String("why", cause))
	}
}
