package letterbox

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// span is what one partition holds at the moment.
type span struct {
	wire.TopicPartition
	leader     string
	stamp      string // id of the topic; "": not known
	found      int64  // its first offset, when it was asked
	first, end int64  // of what there is, and behind it
	high       int64  // high watermark: what lies between end and this, open transactions hold back
	err        error  // why nothing is known
}

// spans are those of all partitions of a topic. What may pass is asked again; a
// partition that nobody answers for has an error of its own.
func (b *box) spans(ctx context.Context, topic string, committed bool) ([]*span, error) {
	var all []*span
	err := b.retried(ctx, func(ctx context.Context) error {
		cluster, err := b.client.Metadata(ctx, []string{topic})
		if err != nil {
			return fmt.Errorf("couldn't ask for topic %s: %w", topic, b.allowing(err, topic))
		}
		found, err := layOut(cluster, topic)
		if err != nil {
			return b.allowing(err, topic)
		}
		all = found
		return b.measure(ctx, all, committed)
	})
	if err != nil && all == nil {
		return nil, err
	}
	return all, nil
}

func (b *box) allowing(err error, topic string) error {
	return kafka.Allowing(b.cfg, err, "Describe,Read", topic)
}

func layOut(cluster *wire.Cluster, topic string) ([]*span, error) {
	t := cluster.Topics[topic]
	switch {
	case errors.Is(t.Err, kafkago.UnknownTopicOrPartition), t.Err == nil && len(t.Partitions) == 0:
		return nil, &queue.MissingError{What: "topic", Name: topic}
	case t.Err != nil:
		return nil, fmt.Errorf("couldn't ask for topic %s: %w", topic, t.Err)
	}
	all := make([]*span, len(t.Partitions))
	for i, p := range t.Partitions {
		s := &span{TopicPartition: wire.TopicPartition{Topic: topic, Partition: p.ID}, stamp: leaders.ID(t.ID).String()}
		if leader, ok := cluster.Brokers[p.Leader]; ok {
			s.leader = leader.Addr()
		}
		all[i] = s
	}
	return all, nil
}

// measure asks each leader where its partitions begin and end. It returns the first
// error that is in a span.
func (b *box) measure(ctx context.Context, all []*span, committed bool) error {
	led := map[string][]*span{}
	for _, s := range all {
		led[s.leader] = append(led[s.leader], s)
	}
	for addr, some := range led {
		b.list(ctx, addr, some, false, wire.Earliest, func(s *span) *int64 { return &s.first })
		b.list(ctx, addr, some, false, wire.Latest, func(s *span) *int64 { return &s.high })
		b.list(ctx, addr, some, committed, wire.Latest, func(s *span) *int64 { return &s.end })
	}
	var failed error
	for _, s := range all {
		if s.found = s.first; failed == nil {
			failed = s.err
		}
	}
	return failed
}

// list fills in one offset of each span, or why it is not known.
func (b *box) list(ctx context.Context, leader string, some []*span, committed bool, t int64, to func(*span) *int64) {
	ask := make([]wire.OffsetAt, len(some))
	for i, s := range some {
		ask[i] = wire.OffsetAt{TopicPartition: s.TopicPartition, Time: t}
	}
	found, err := map[wire.TopicPartition]wire.ListedOffset{}, leaders.ErrNoLeader
	if leader != "" {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		found, err = b.client.ListOffsets(ctx, leader, committed, ask)
	}
	for _, s := range some {
		failure := err
		if failure == nil {
			failure = found[s.TopicPartition].Err
		}
		*to(s) = found[s.TopicPartition].Offset
		if failure != nil && s.err == nil {
			s.err = fmt.Errorf("couldn't ask where %s begins and ends: %w", s.TopicPartition, b.allowing(failure, s.Topic))
		}
	}
}
