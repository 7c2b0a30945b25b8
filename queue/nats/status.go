package nats

import (
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// numbers is what the server last said, replaced as a whole.
type numbers struct {
	state, cause string
	committed    int64
	end          int64
	lag          int64
	ackWait      time.Duration
	limits       limits
	passed       passed
	counts       map[string]int64
}

// say changes the state and logs the change.
func (s *strand) say(state, cause string) {
	n := *s.numbers.Load()
	if n.state == state && n.cause == cause {
		return
	}
	if n.state != state {
		fields := []zap.Field{zap.String("before", n.state)}
		if cause != "" {
			fields = append(fields, zap.String("why", cause))
		}
		s.log.Info("strand is now "+state, fields...)
	}
	n.state, n.cause = state, cause
	s.numbers.Store(&n)
}

// learn takes over what the server says of the consumer and, if it was asked,
// the stream. Only the watch calls it once the strand lives.
func (s *strand) learn(info *jetstream.ConsumerInfo, stream *jetstream.StreamInfo) {
	n := *s.numbers.Load()
	n.committed = int64(info.AckFloor.Stream)
	n.lag = int64(info.NumPending) + int64(info.NumAckPending)
	n.ackWait = info.Config.AckWait
	n.limits = limits{
		batch:   info.Config.MaxRequestBatch,
		bytes:   int64(info.Config.MaxRequestMaxBytes),
		expires: info.Config.MaxRequestExpires,
	}
	if stream != nil && s.side == nil { // among the lanes of a companion nothing can be said of what is missing
		n.end = int64(stream.State.LastSeq)
		n.passed.filtered = info.Config.FilterSubject != "" || len(info.Config.FilterSubjects) > 0
		n.passed.add(sample{
			delivered:  info.Delivered.Stream,
			deliveries: info.Delivered.Consumer,
			pending:    info.NumPending,
			first:      stream.State.FirstSeq,
			end:        stream.State.LastSeq,
		})
		n.counts = n.passed.counts()
	}
	n.end = max(n.end, int64(info.Delivered.Stream))
	s.numbers.Store(&n)
	share := s.window
	if most := info.Config.MaxAckPending; most > 0 {
		share = max(1, min(share, most/max(s.pods, 1)))
	}
	if s.side != nil {
		s.side.most.Store(int64(info.Config.MaxAckPending))
		if s.side.probing.Load() {
			share = 1
		}
	}
	s.share.Store(int64(share))
	s.say(s.judge(info, share))
}

// judge names the state that the consumer is in.
func (s *strand) judge(info *jetstream.ConsumerInfo, share int) (state, cause string) {
	s.mu.Lock()
	ours := int(s.unsettled.Load()) + len(s.in)
	refusal, failures := s.refusal, s.failures
	s.mu.Unlock()
	switch {
	case failures > 2:
		return queue.StateMisconfigured, "the server refuses to deliver: " + refusal
	case info.Paused:
		return queue.StateMisconfigured, fmt.Sprintf("the consumer is paused for another %v: nats consumer resume %s %s",
			info.PauseRemaining.Round(time.Second), s.consumer.Stream, s.consumer.Durable)
	case exhausted(info) && ours < share && s.side == nil: // one at a time is how a lane is probed
		return queue.StateAckPendingExhausted, fmt.Sprintf(
			"%d of at most %d unacknowledged messages are out and only %d are held here: another pod holds the rest, or they wait for the ack wait of one that died",
			info.NumAckPending, info.Config.MaxAckPending, ours)
	}
	return queue.StateConsuming, ""
}

// Status implements queue.Strand.
func (s *strand) Status() queue.Status {
	n := s.numbers.Load()
	state, cause := n.state, n.cause
	if s.conn.line.number() == 0 {
		state, cause = queue.StateBrokerAway, "no connection to the server; reconnecting"
	}
	st := queue.Status{
		State:       state,
		Cause:       cause,
		Position:    s.position.Load(),
		Committed:   n.committed,
		End:         max(n.end, s.position.Load()),
		Lag:         n.lag,
		Oldest:      s.book.oldest(),
		Unsettled:   s.unsettled.Load(),
		Redelivered: s.redeliverd.Load(),
		PassedOver:  s.passedOver(n),
	}
	s.mu.Lock()
	st.Full = s.starved.Load() && s.pulls.msgs == 0 // what was asked for may come
	st.Buffered, st.BufferedBytes = int64(len(s.in)), s.inBytes
	st.RequestedBytes = s.pulls.cost()
	s.mu.Unlock()
	return st
}

func (s *strand) passedOver(n *numbers) map[string]int64 {
	gaveUp, terminated := s.gaveUp.Load(), s.terminated.Load()
	if len(n.counts) == 0 && gaveUp == 0 && terminated == 0 {
		return nil
	}
	m := make(map[string]int64, len(n.counts)+2)
	maps.Copy(m, n.counts)
	if gaveUp > 0 {
		m["max_deliveries"] = gaveUp
	}
	if terminated > 0 {
		m["terminated"] = terminated
	}
	return m
}
