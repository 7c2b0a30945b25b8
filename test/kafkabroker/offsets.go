package kafkabroker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The timestamps that ask ListOffsets for an end of a log.
const (
	latest   = -1
	earliest = -2
)

// The isolation levels of ListOffsets.
const (
	readAll           = 0
	readCommittedOnly = 1
)

// Committed is what a group committed for a partition.
type Committed struct {
	Offset   int64
	Metadata string
}

// Committed returns what a group committed of a topic, by partition; a partition
// without a commit is absent.
func (c *Cluster) Committed(tb TB, group, topic string) map[int32]Committed {
	tb.Helper()
	found := make(map[int32]Committed)
	c.do(tb, "read what "+group+" committed", func(ctx context.Context, cl *kgo.Client) error {
		return until(ctx, func() error { return readCommitted(ctx, cl, group, topic, found) })
	})
	return found
}

func readCommitted(ctx context.Context, cl *kgo.Client, group, topic string, found map[int32]Committed) error {
	t, err := describeTopic(ctx, cl, topic)
	if err != nil {
		return err
	}
	asked := kmsg.NewOffsetFetchRequestGroupTopic()
	asked.Topic = topic
	for _, p := range t.Partitions {
		asked.Partitions = append(asked.Partitions, p.Partition)
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = group, append(g.Topics, asked)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return err
				}
				if p.Offset >= 0 {
					found[p.Partition] = Committed{Offset: p.Offset, Metadata: value(p.Metadata)}
				}
			}
		}
	}
	return nil
}

// Starts returns the first offset of each partition's log.
func (c *Cluster) Starts(tb TB, topic string) map[int32]int64 {
	tb.Helper()
	return c.offsets(tb, topic, earliest)
}

// Ends returns the offset after the last of each partition's log.
func (c *Cluster) Ends(tb TB, topic string) map[int32]int64 {
	tb.Helper()
	return c.offsets(tb, topic, latest)
}

func (c *Cluster) offsets(tb TB, topic string, at int64) map[int32]int64 {
	tb.Helper()
	found := make(map[int32]int64)
	c.do(tb, "list the offsets of "+topic, func(ctx context.Context, cl *kgo.Client) error {
		return until(ctx, func() error { return listOffsets(ctx, cl, topic, at, readAll, found) })
	})
	return found
}

func listOffsets(ctx context.Context, cl *kgo.Client, topic string, at int64, isolation int8, found map[int32]int64) error {
	t, err := describeTopic(ctx, cl, topic)
	if err != nil {
		return err
	}
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for _, p := range t.Partitions {
		q := kmsg.NewListOffsetsRequestTopicPartition()
		q.Partition, q.Timestamp = p.Partition, at
		asked.Partitions = append(asked.Partitions, q)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = isolation
	req.Topics = append(req.Topics, asked)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
			found[p.Partition] = p.Offset
		}
	}
	return nil
}

// DeleteRecords moves the start of a partition's log to an offset, as retention
// does.
func (c *Cluster) DeleteRecords(tb TB, topic string, partition int32, before int64) {
	tb.Helper()
	c.do(tb, "delete records of "+topic, func(ctx context.Context, cl *kgo.Client) error {
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = partition, before
		t := kmsg.NewDeleteRecordsRequestTopic()
		t.Topic, t.Partitions = topic, append(t.Partitions, p)
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = int32(within.Milliseconds())
		req.Topics = append(req.Topics, t)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
