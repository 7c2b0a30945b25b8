package producer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// When what failed for the brokers' sake is tried again.
const (
	retryMoved = 200 * time.Millisecond // a new leader is found that fast
	retrySlow  = time.Second            // replicas, disks and brokers come back more slowly
)

// classify says what the worker does about an error, and adds what people can do.
func classify(err error) error {
	class := verdict(err)
	if advice := cure(err); advice != "" {
		err = fmt.Errorf("%w: %s", err, advice)
	}
	return class(err)
}

// verdict finds the class of an error. Everything that is the brokers' trouble or that
// of the way to them is a RetryAfter: see the package comment.
func verdict(err error) func(error) error {
	code, answered := wire.Code(err)
	switch {
	case answered:
		return verdictOf(code, err)
	case errors.Is(err, wire.ErrClosed), errors.Is(err, errUntold):
		return plain
	case wire.IsPermanent(err): // TLS, or no Kafka at all
		return flushers.Misconfigured
	}
	return after(retrySlow)
}

func plain(err error) error { return err }

func after(d time.Duration) func(error) error {
	return func(err error) error { return flushers.RetryAfter(err, d) }
}

func verdictOf(code kafka.Error, err error) func(error) error {
	switch code {
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return flushers.TooLarge
	case kafka.InvalidRecord:
		if keyless(err) {
			return flushers.Misconfigured
		}
		return flushers.Permanent

	case kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.UnknownTopicOrPartition, kafka.FencedLeaderEpoch,
		kafka.UnknownLeaderEpoch, kafka.ReplicaNotAvailable, kafka.NetworkException, kafka.RequestTimedOut:
		return after(retryMoved)
	case kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend, kafka.KafkaStorageError, kafka.BrokerNotAvailable,
		kafka.ListenerNotFound, kafka.NotController, kafka.ThrottlingQuotaExceeded:
		return after(retrySlow)

	case kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.SASLAuthenticationFailed,
		kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState, kafka.SecurityDisabled, kafka.UnsupportedVersion,
		kafka.InvalidTopic:
		if !wire.IsPermanent(err) { // one broker says so, others do not answer
			return after(retrySlow)
		}
		return flushers.Misconfigured
	case kafka.UnsupportedForMessageFormat, kafka.UnsupportedCompressionType, kafka.InvalidRequiredAcks,
		kafka.InvalidTimestamp, kafka.PolicyViolation:
		return flushers.Misconfigured
	}
	// CORRUPT_MESSAGE, UNKNOWN_SERVER_ERROR and what is newer than this list: perhaps
	// the data's fault, perhaps not. The worker finds out.
	return plain
}

// keyless says that a compacted topic refuses a record because it has no key.
func keyless(err error) bool { return strings.Contains(err.Error(), "ompacted topic") }

// aboutData says that a batch is refused for what is in it.
func aboutData(err error) bool {
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge) ||
		errors.Is(err, kafka.InvalidRecord) && !keyless(err)
}

// astray says that the partition has to be looked up again.
func astray(err error) bool {
	return wire.IsLeaderMoved(err) || errors.Is(err, kafka.UnknownTopicOrPartition) || errors.Is(err, kafka.NetworkException)
}

// cures are what to do about a broker's answers, where it is not what wire.Advice says
// to those who read.
var cures = map[kafka.Error]string{
	kafka.TopicAuthorizationFailed:   "allow the user to Describe and Write the topic",
	kafka.ClusterAuthorizationFailed: "allow the user to write to this cluster",
	kafka.UnknownTopicOrPartition:    "the topic is looked up again",
	kafka.MessageSizeTooLarge:        "raise max.message.bytes of the topic (message.max.bytes of the brokers), or send less in one message",
	kafka.InvalidTimestamp:           "set this machine's clock, or message.timestamp.after.max.ms of the topic",
	kafka.UnsupportedCompressionType: "choose another compression",
}

func cure(err error) string {
	code, answered := wire.Code(err)
	if answered && code == kafka.InvalidRecord && keyless(err) {
		return "the topic has cleanup.policy=compact: set key to fields that every log has, or choose a topic with cleanup.policy=delete"
	}
	if advice, ours := cures[code]; answered && ours {
		return advice
	}
	return wire.Advice(err)
}
