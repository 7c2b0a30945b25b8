package wire

import (
	"context"
	"errors"

	"github.com/segmentio/kafka-go"
)

// Commit stores positions under a membership. The map holds only the partitions
// that the coordinator refused, or did not name in its answer.
func (c *Client) Commit(ctx context.Context, addr string, m Membership, ps []CommitPartition) (map[TopicPartition]error, error) {
	failed := map[TopicPartition]error{}
	err := c.do(ctx, addr, &call{
		api: apiCommit, op: "commit offsets of group " + m.Group,
		body: func(e *encoder) {
			e.str(m.Group)
			e.int32(m.Generation)
			e.str(m.Member)
			e.nullable(m.Instance)
			eachTopic(e, ps, func(p *CommitPartition) string { return p.Topic }, func(e *encoder, p *CommitPartition) {
				e.int32(p.Partition)
				e.int64(p.Offset)
				e.int32(-1) // 0 would make other clients rewind after a change of leaders
				e.str(p.Metadata)
			})
		},
	}, func(d *decoder) error {
		for _, p := range ps {
			failed[p.TopicPartition] = errUnnamed
		}
		d.throttle()
		d.eachPartition(2, func(p TopicPartition) { note(failed, p, d.code()) })
		return d.err
	})
	return outcome(failed, err)
}

// Committed reads the positions that a group has committed; one that does not exist
// has none. An error of the whole group is the error; one of a partition is in its
// entry.
func (c *Client) Committed(ctx context.Context, addr, group string, ps []TopicPartition) (map[TopicPartition]Committed, error) {
	found := map[TopicPartition]Committed{}
	err := c.do(ctx, addr, &call{
		api: apiCommitted, op: "read committed offsets of group " + group,
		body: func(e *encoder) {
			e.str(group)
			eachTopic(e, ps, func(p *TopicPartition) string { return p.Topic }, func(e *encoder, p *TopicPartition) { e.int32(p.Partition) })
		},
	}, func(d *decoder) error {
		for _, p := range ps {
			found[p] = Committed{Offset: -1, Err: errUnnamed}
		}
		d.throttle()
		d.eachPartition(16, func(p TopicPartition) {
			offset := d.int64()
			d.int32() // leader epoch
			found[p] = Committed{Offset: offset, Metadata: d.str(), Err: d.code()}
		})
		verdict := d.code()
		if errors.Is(verdict, kafka.GroupIdNotFound) {
			for _, p := range ps {
				found[p] = Committed{Offset: -1}
			}
			return nil
		}
		return verdict
	})
	return outcome(found, err)
}

// ListOffsets asks the leader at addr for offsets by time. With readCommitted the
// end (Latest) is the last stable offset.
func (c *Client) ListOffsets(ctx context.Context, addr string, readCommitted bool, q []OffsetAt) (map[TopicPartition]ListedOffset, error) {
	found := map[TopicPartition]ListedOffset{}
	err := c.do(ctx, addr, &call{
		api: apiListOffsets, op: "list offsets",
		body: func(e *encoder) {
			e.int32(-1)
			e.isolation(readCommitted)
			eachTopic(e, q, func(p *OffsetAt) string { return p.Topic }, func(e *encoder, p *OffsetAt) {
				e.int32(p.Partition)
				e.int32(-1)
				e.int64(p.Time)
			})
		},
	}, func(d *decoder) error {
		for _, p := range q {
			found[p.TopicPartition] = ListedOffset{Offset: -1, Time: -1, Err: errUnnamed}
		}
		d.throttle()
		d.eachPartition(22, func(p TopicPartition) {
			l := ListedOffset{Err: d.code(), Time: d.int64(), Offset: d.int64()}
			d.int32() // leader epoch
			found[p] = l
		})
		return d.err
	})
	return outcome(found, err)
}

func (e *encoder) isolation(readCommitted bool) {
	if readCommitted {
		e.int8(1)
	} else {
		e.int8(0)
	}
}
