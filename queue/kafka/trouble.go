package kafka

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/record"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// trouble is why a strand cannot be read at the moment, and until when that is not
// tried again.
type trouble struct {
	state, cause string
	since, until time.Time
	failures     int
}

func (t *trouble) clear() { *t = trouble{} }

// remedy is what follows from an error of one partition.
type remedy int

const (
	again      remedy = iota // ask again after a while
	refresh                  // somebody else leads it: ask for metadata, and then them
	relocate                 // the position is not in the log
	suspicious               // the topic may be gone, or another one
	corrupt                  // what lies there cannot be read
)

// judge says what follows from an error and which state to show meanwhile.
func judge(err error) (remedy, string) {
	if unreadable(err) {
		return corrupt, queue.StateStalled
	}
	var code kafkago.Error
	if !errors.As(err, &code) {
		switch {
		case errors.Is(err, errNoLeader):
			return refresh, queue.StateBrokerAway
		case errors.Is(err, errNoCommit), errors.Is(err, errOutOfRange):
			return again, queue.StateRefused
		}
		return refresh, queue.StateBrokerAway
	}
	switch code {
	case kafkago.OffsetOutOfRange:
		return relocate, queue.StateConsuming
	case kafkago.UnknownTopicOrPartition:
		return suspicious, queue.StateTopicMissing
	case kafkago.TopicAuthorizationFailed, kafkago.GroupAuthorizationFailed, kafkago.ClusterAuthorizationFailed:
		return again, queue.StateRefused
	case kafkago.InvalidMessage, kafkago.UnsupportedCompressionType:
		return corrupt, queue.StateStalled
	case kafkago.NotLeaderForPartition, kafkago.LeaderNotAvailable, kafkago.ReplicaNotAvailable, kafkago.BrokerNotAvailable,
		kafkago.FencedLeaderEpoch, kafkago.UnknownLeaderEpoch, kafkago.KafkaStorageError, kafkago.ListenerNotFound:
		return refresh, queue.StateBrokerAway
	}
	return again, queue.StateStalled
}

// corruptTries is how often a record set that cannot be read is asked for again
// soon: the bytes may have been damaged on the way. Afterwards it is asked for
// seldom, until somebody mends the log or moves the group's offset.
const (
	corruptTries = 5
	corruptAgain = 30 * time.Second
)

// fail notes why a strand has to wait, and for how long it does.
func (s *strand) fail(err error, now time.Time) remedy {
	what, state := judge(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.trouble
	if t.failures == 0 {
		t.since = now
	}
	t.state = state
	t.cause = err.Error()
	if advice := wire.Advice(err); advice != "" {
		t.cause += ": " + advice
	}
	t.until = now.Add(retryIn(t.failures))
	t.failures++
	if what == corrupt {
		t.cause = fmt.Sprintf("the record set at %s, offset %d, cannot be read (tried %d times): %s; %s", s, s.next, t.failures, t.cause, passBy(err))
		if t.failures >= corruptTries {
			t.until = now.Add(corruptAgain)
		}
	}
	s.hot = false
	return what
}

// passBy says how to go on behind what cannot be read, as nothing is skipped by itself.
func passBy(err error) string {
	to := "the first offset behind it"
	var e *record.Error
	if errors.As(err, &e) && e.Past > 0 {
		to = fmt.Sprintf("offset %d", e.Past)
	}
	return "if it stays so, stop the group and move its offset to " + to + " with kafka-consumer-groups.sh --reset-offsets: what lies between is lost"
}

// retryIn is the wait after failure n: 50 ms doubling to 2 s, a quarter of it
// random, so that not all come back at once.
func retryIn(n int) time.Duration {
	d := min(50*time.Millisecond<<min(n, 6), 2*time.Second)
	return d - rand.N(d/4)
}

// waitFor waits for d, or until woken. The error is why ctx ended.
func waitFor(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
