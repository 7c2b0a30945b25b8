package wire

import (
	"context"
	"errors"
	"strconv"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/semaphore"

	"github.com/flushline/flushline/internal/mutant"
)

// Commit stores positions under a membership. The map holds only the partitions
// that the coordinator refused, or did not name in its answer.
func (c *Client) Commit(ctx context.Context, addr string, m Membership, ps []CommitPartition) (map[TopicPartition]error, error) {
	failed := map[TopicPartition]error{}
	err := c.do(ctx, addr, &call{
		api: apiCommit, free: true, op: "commit offsets of group " + m.Group,
		body: func(e *encoder) {
			e.str(m.Group)
			e.int32(m.Generation)
			e.str(m.Member)
			e.nullable(m.Instance)
			eachTopic(e, ps, func(p *CommitPartition) string { return p.Topic }, func(e *encoder, p *CommitPartition) {
				e.int32(p.Partition)
				e.int64(p.Offset)
				if mutant.On(mutant.EpochZero) {
					e.int32(0)
				} else {
					e.int32(-1) // 0 would make other clients rewind after a change of leaders
				}
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
	q := &call{api: apiCommitted, free: true, op: "read committed offsets of group " + group}
	return inCompany(ctx, c, addr, q, &manner[TopicPartition, Committed]{
		kind: func(t *turns) (*together[TopicPartition, Committed], *semaphore.Weighted) {
			return &t.committed, t.lookup
		},
		key:   group,
		about: func(p TopicPartition) TopicPartition { return p },
		ask: func(ctx context.Context, ps []TopicPartition) (map[TopicPartition]Committed, error) {
			return c.committed(ctx, addr, q, group, ps)
		},
	}, ps)
}

func (c *Client) committed(ctx context.Context, addr string, q *call, group string, ps []TopicPartition) (map[TopicPartition]Committed, error) {
	found := map[TopicPartition]Committed{}
	q.body = func(e *encoder) {
		e.str(group)
		eachTopic(e, ps, func(p *TopicPartition) string { return p.Topic }, func(e *encoder, p *TopicPartition) { e.int32(p.Partition) })
	}
	err := c.do(ctx, addr, q, func(d *decoder) error {
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
	list := &call{api: apiListOffsets, free: true, op: "list offsets"}
	return inCompany(ctx, c, addr, list, &manner[OffsetAt, ListedOffset]{
		kind:  func(t *turns) (*together[OffsetAt, ListedOffset], *semaphore.Weighted) { return &t.listed, t.lookup },
		key:   strconv.FormatBool(readCommitted),
		about: func(o OffsetAt) TopicPartition { return o.TopicPartition },
		ask: func(ctx context.Context, os []OffsetAt) (map[TopicPartition]ListedOffset, error) {
			return c.listOffsets(ctx, addr, list, readCommitted, os)
		},
	}, q)
}

func (c *Client) listOffsets(ctx context.Context, addr string, q *call, readCommitted bool, os []OffsetAt) (map[TopicPartition]ListedOffset, error) {
	found := map[TopicPartition]ListedOffset{}
	q.body = func(e *encoder) {
		e.int32(-1)
		e.isolation(readCommitted)
		eachTopic(e, os, func(o *OffsetAt) string { return o.Topic }, func(e *encoder, o *OffsetAt) {
			e.int32(o.Partition)
			e.int32(-1)
			e.int64(o.Time)
		})
	}
	err := c.do(ctx, addr, q, func(d *decoder) error {
		for _, p := range os {
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
