package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
)

// Error is a failed call: what was to be done, at which broker, and what it said.
// Err holds a kafka.Error if the broker answered with a code; errors.Is finds it.
type Error struct {
	Op     string // "join group flushline"
	Broker string // host:port
	Err    error
}

// Error is one line that names the operation, the broker and the cause.
func (e *Error) Error() string {
	return fmt.Sprintf("couldn't %s at broker %s: %v", e.Op, e.Broker, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// everyBroker is what each of several brokers said.
type everyBroker []error

// Error is one line with all of them.
func (e everyBroker) Error() string {
	said := make([]string, len(e))
	for i, err := range e {
		said[i] = err.Error()
	}
	return strings.Join(said, "; ")
}

// Unwrap gives them to errors.Is and errors.As.
func (e everyBroker) Unwrap() []error { return e }

// ErrClosed is the cause of calls after Close.
var ErrClosed = errors.New("the client is closed")

// codeError is nil for code 0.
func codeError(code int16) error {
	if code == 0 {
		return nil
	}
	return kafka.Error(code)
}

func worded(code int16, message string) error {
	err := codeError(code)
	if err == nil || message == "" {
		return err
	}
	return fmt.Errorf("%w (the broker says: %s)", err, message)
}

// Code is the broker's error code within err.
func Code(err error) (kafka.Error, bool) {
	var code kafka.Error
	found := errors.As(err, &code)
	return code, found
}

func hasCode(err error, codes ...kafka.Error) bool {
	code, found := Code(err)
	return found && slices.Contains(codes, code)
}

// IsTransport says that err came without an answer of a broker: no connection, a
// cut, a deadline, an answer that could not be read. What was asked may have
// happened or not.
func IsTransport(err error) bool {
	_, answered := Code(err)
	return err != nil && !answered && !errors.Is(err, ErrClosed)
}

// IsCoordinatorMoved says that the coordinator must be looked up again: it is
// loading, unknown, another broker, or did not answer.
func IsCoordinatorMoved(err error) bool {
	return hasCode(err, kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup) ||
		IsTransport(err)
}

// IsLeaderMoved says that the partition's leader must be looked up again.
func IsLeaderMoved(err error) bool {
	return hasCode(err, kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.ReplicaNotAvailable, kafka.BrokerNotAvailable,
		kafka.KafkaStorageError, kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch, kafka.ListenerNotFound)
}

// IsPermanent says that no retry mends err: the brokers' or our configuration must
// change first. Everything else may be tried again.
//
// What several brokers said is permanent if each said so.
func IsPermanent(err error) bool {
	var all everyBroker
	if errors.As(err, &all) {
		return !slices.ContainsFunc(all, func(err error) bool { return !IsPermanent(err) })
	}
	return hasCode(err, kafka.InconsistentGroupProtocol, kafka.InvalidGroupId, kafka.InvalidSessionTimeout,
		kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed,
		kafka.UnsupportedSASLMechanism, kafka.IllegalSASLState, kafka.SASLAuthenticationFailed, kafka.UnsupportedVersion, kafka.GroupMaxSizeReached,
		kafka.FencedInstanceID, kafka.InvalidTopic, kafka.SecurityDisabled) ||
		isTLSFailure(err) || errors.Is(err, errTLSPort) || errors.Is(err, errNotKafka) || errors.Is(err, ErrConfig)
}

// cut says that the other side closed the connection.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || isReset(err)
}

func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "read" || op.Op == "write") && !op.Timeout()
}
