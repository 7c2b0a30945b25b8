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

// confirmAfter is how long a strand may wait to hear that it may be read before that
// is a state: mostly it takes one request.
const confirmAfter = 3 * time.Second

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
	st.Full = s.fullLocked()
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
	full := s.fullLocked()
	if full {
		s.full = now
	}
	switch {
	case s.closed:
		return queue.StateEnded, ""
	case s.suspect != "" && now.Sub(s.doubtedAt) > blip:
		return queue.StateTopicMissing, s.suspicionLocked()
	case s.trouble.state != "" && s.trouble.state != queue.StateConsuming && s.trouble.since.Before(now.Add(-blip)):
		return s.trouble.state, s.trouble.cause
	case s.next < 0:
		return queue.StateJoining, "looks for the position to read from"
	}
	if why := s.unconfirmedLocked(now); why != "" {
		return queue.StateBrokerAway, why
	}
	if full { // a pause of ours, for as long as somebody needs for that message
		return queue.StateConsuming, fmt.Sprintf("the oldest unended message, at %d, is %d messages behind the newest: as many as span allows",
			s.cursor.mark.Low(), s.cursor.mark.Span())
	}
	if why := s.stallLocked(now); why != "" {
		return queue.StateStalled, why
	}
	return queue.StateConsuming, ""
}

// fullLocked says that the worker waits, and that the span is used up.
func (s *strand) fullLocked() bool {
	return s.demand.waiting && len(s.in) == 0 && s.cursor != nil && s.cursor.mark.Span() >= s.src.cfg.Span
}

// blip is how long trouble may last before it is a state: a leader that moves is
// none.
const blip = time.Second

// unconfirmedLocked is whose word is missing before the strand is read, if it has been
// for longer than a moment.
func (s *strand) unconfirmedLocked(now time.Time) string {
	if !s.doubtful() {
		s.disowned = time.Time{}
	} else if s.disowned.IsZero() {
		s.disowned = now
	}
	switch {
	case !s.disowned.IsZero() && now.Sub(s.disowned) > confirmAfter:
		return because(fmt.Sprintf("the process did nothing for longer than the session time; it is read again when the group's coordinator has said that it is still ours, and it has not for %v",
			now.Sub(s.disowned).Truncate(time.Second)), s.src.unwell())
	case !s.unsure.IsZero() && now.Sub(s.unsure) > confirmAfter:
		return because(fmt.Sprintf("after a pause it is read again when a broker has said that the topic is the one it was, and none has for %v",
			now.Sub(s.unsure).Truncate(time.Second)), s.src.unanswered())
	}
	return ""
}

// because adds what is known of a reason.
func because(what string, err error) string {
	if err == nil {
		return what
	}
	return what + ": " + advised(err).Error()
}

// stallLocked is the watchdog: the worker waits, and either there is something to read
// that does not come, or nobody has asked for long whether there is.
func (s *strand) stallLocked(now time.Time) string {
	unmoved, unasked := now.Sub(s.moved), now.Sub(s.seen)
	if !s.full.IsZero() {
		unmoved, unasked = min(unmoved, now.Sub(s.full)), min(unasked, now.Sub(s.full))
	}
	switch {
	case !s.demand.waiting || len(s.in) > 0 || s.next < 0:
		return ""
	case s.ends.end > s.next && unmoved > stallAfter:
		return fmt.Sprintf("%d messages are in the log and nothing came for %v: %s", s.ends.end-s.next, unmoved.Truncate(time.Second), s.whyLocked(now))
	case s.asked == nil && unasked > stallAfter: // a request that is out ends soon, if only as trouble
		return fmt.Sprintf("for %v no broker was asked whether there is more: %s", unasked.Truncate(time.Second), s.whyLocked(now))
	}
	return ""
}

// whyLocked is the most likely reason of a stall.
func (s *strand) whyLocked(now time.Time) string {
	switch {
	case s.trouble.cause != "":
		return s.trouble.cause
	case s.leader == nil:
		return errNoLeader.Error()
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
