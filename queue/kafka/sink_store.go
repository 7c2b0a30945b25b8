package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	retry "github.com/cenkalti/backoff/v4"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	// batchBytes and batchMessages bound what is sent at once, unless one message
	// alone is larger.
	batchBytes    = 1 << 20
	batchMessages = 1000

	// answerPatience is how long the leader may take, its wait for the replicas in
	// sync included: a frozen one leaves time for its successor within putPatience.
	answerPatience = 10 * time.Second
)

// store sends the pieces of one partition, a batch at a time, and leaves an error
// in each that was not stored.
func (s *Sink) store(ctx context.Context, partition int32, open []piece) {
	began := time.Now()
	leave, err := s.enter(ctx, partition)
	if err != nil {
		giveUp(open, partition, began, err)
		return
	}
	defer leave()
	pause := newPause()
	most := batchMessages
	for len(open) > 0 {
		facts := s.known()
		n := fill(open[:min(most, len(open))], facts.limit)
		err := s.produce(ctx, facts, partition, open[:n])
		switch {
		case err == nil:
			if open, most = open[n:], batchMessages; len(open) > 0 {
				failpoint.Hit(failpoint.BatchStored)
			}
			pause.Reset()
		case aboutData(err) && n > 1: // one of them it is
			most = n / 2
			s.refresh(ctx)
		case aboutData(err):
			open[0].fail(partition, err)
			open, most = open[1:], batchMessages
			s.refresh(ctx)
		case !mayPass(err):
			for i := range open {
				open[i].fail(partition, err)
			}
			return
		default:
			for i := range open[:n] {
				open[i].unsure = open[i].unsure || mayBeStored(err)
			}
			if !pauseFor(ctx, pause.NextBackOff()) {
				giveUp(open, partition, began, err)
				return
			}
			s.refresh(ctx)
		}
	}
}

// fill is how many of the pieces one batch takes.
func fill(open []piece, limit int) int {
	bytes := wire.BatchOverhead
	for i := range open {
		bytes += open[i].record.Size()
		if i > 0 && bytes > min(limit, batchBytes) {
			return i
		}
	}
	return len(open)
}

var errLeaderless = errors.New("no broker leads this partition: a broker is down, or the topic was deleted")

func (s *Sink) produce(ctx context.Context, facts *topicFacts, partition int32, pieces []piece) error {
	if int(partition) >= len(facts.leaders) || facts.leaders[partition] == "" {
		return errLeaderless
	}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	at := wire.TopicPartition{Topic: s.topic, Partition: partition}
	records := make([]wire.Record, len(pieces))
	for i := range pieces {
		records[i] = pieces[i].record
	}
	addr := facts.leaders[partition]
	stored, err := s.client.Produce(ctx, addr, []wire.Batch{{TopicPartition: at, Records: records}})
	if err != nil {
		return err
	}
	if err := stored[at].Err; err != nil {
		return &wire.Error{Op: "produce to " + at.String(), Broker: addr, Err: err}
	}
	return nil
}

// newPause grows from 100 ms to 2 s, jittered; the context ends the retries.
func newPause() *retry.ExponentialBackOff {
	return retry.NewExponentialBackOff(
		retry.WithInitialInterval(100*time.Millisecond), retry.WithMultiplier(2),
		retry.WithMaxInterval(2*time.Second), retry.WithMaxElapsedTime(0))
}

// pauseFor says whether d passed before ctx ended.
func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// aboutData says that the broker refuses a batch for what is in it.
func aboutData(err error) bool {
	for _, code := range []kafkago.Error{kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge, kafkago.InvalidRecord, kafkago.InvalidTimestamp} {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}

// mayPass says that trying again may help: a code that Kafka calls retriable, or
// an error of the connection.
func mayPass(err error) bool {
	code, answered := wire.Code(err)
	if !answered {
		return !wire.IsPermanent(err) && !errors.Is(err, wire.ErrClosed)
	}
	return code.Temporary() || code == kafkago.BrokerNotAvailable || code == kafkago.ReplicaNotAvailable
}

// mayBeStored says that a batch with this error may be in the log.
func mayBeStored(err error) bool {
	if code, answered := wire.Code(err); answered {
		return code == kafkago.RequestTimedOut || code == kafkago.NotEnoughReplicasAfterAppend || code == kafkago.NetworkException
	}
	return wire.IsTransport(err) && !errors.Is(err, errLeaderless)
}

func (p *piece) fail(partition int32, err error) {
	p.err = fmt.Errorf("partition %d: %w", partition, err)
	if advice := wire.Advice(err); advice != "" {
		p.err = fmt.Errorf("%w: %s", p.err, advice)
	}
	if p.unsure {
		p.err = unsureError{p.err}
	}
}

// giveUp leaves the last error of what was tried until its context ended.
func giveUp(open []piece, partition int32, began time.Time, err error) {
	err = fmt.Errorf("gave up after %v: %w", time.Since(began).Round(100*time.Millisecond), err)
	for i := range open {
		open[i].fail(partition, err)
	}
}

// unsureError is about a message that may have been stored.
type unsureError struct{ error }

func (e unsureError) Error() string { return e.error.Error() + "; it may have been stored" }
func (e unsureError) Unwrap() error { return e.error }
func (unsureError) Timeout() bool   { return true }
