package wire

import (
	"context"
	"maps"
	"slices"
)

// NewTopic is a topic to create. -1 for Partitions or Replicas is the broker's
// default.
type NewTopic struct {
	Name       string
	Partitions int32
	Replicas   int16
	Configs    map[string]string
}

// CreateTopics creates topics, or says what would happen if validateOnly. Ask the
// controller. The map holds only failures; a topic that exists is one
// (kafka.TopicAlreadyExists).
func (c *Client) CreateTopics(ctx context.Context, addr string, topics []NewTopic, validateOnly bool) (map[string]error, error) {
	failed := map[string]error{}
	err := c.do(ctx, addr, &call{
		api: apiCreateTopics, op: "create topics",
		body: func(e *encoder) {
			e.count(len(topics))
			for _, t := range topics {
				e.str(t.Name)
				e.int32(t.Partitions)
				e.int16(t.Replicas)
				e.count(0) // the controller places the replicas
				e.count(len(t.Configs))
				for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
					e.str(key)
					e.str(t.Configs[key])
				}
			}
			e.int32(millis(left(ctx)))
			e.bool(validateOnly)
		},
	}, func(d *decoder) error {
		for _, t := range topics {
			failed[t.Name] = errUnnamed
		}
		d.throttle()
		for range d.count(6) {
			name := d.str()
			note(failed, name, d.verdict())
		}
		return d.err
	})
	return outcome(failed, err)
}

// DeleteTopics deletes topics. Ask the controller. The map holds only failures.
func (c *Client) DeleteTopics(ctx context.Context, addr string, names []string) (map[string]error, error) {
	failed := map[string]error{}
	err := c.do(ctx, addr, &call{
		api: apiDeleteTopics, op: "delete topics",
		body: func(e *encoder) {
			e.strs(names)
			e.int32(millis(left(ctx)))
		},
	}, func(d *decoder) error {
		for _, name := range names {
			failed[name] = errUnnamed
		}
		d.throttle()
		for range d.count(4) {
			name := d.str()
			note(failed, name, d.code())
		}
		return d.err
	})
	return outcome(failed, err)
}

// DeleteBefore asks for the deletion of all records below Offset; -1 is all up to
// the high watermark.
type DeleteBefore struct {
	TopicPartition
	Offset int64
}

// Deleted is the oldest offset that is left, or why nothing was deleted.
type Deleted struct {
	LogStart int64
	Err      error
}

// DeleteRecords deletes the oldest records of partitions. Ask their leader.
func (c *Client) DeleteRecords(ctx context.Context, addr string, ps []DeleteBefore) (map[TopicPartition]Deleted, error) {
	done := map[TopicPartition]Deleted{}
	err := c.do(ctx, addr, &call{
		api: apiDeleteRecords, op: "delete records",
		body: func(e *encoder) {
			eachTopic(e, ps, func(p *DeleteBefore) string { return p.Topic }, func(e *encoder, p *DeleteBefore) {
				e.int32(p.Partition)
				e.int64(p.Offset)
			})
			e.int32(millis(left(ctx)))
		},
	}, func(d *decoder) error {
		for _, p := range ps {
			done[p.TopicPartition] = Deleted{LogStart: -1, Err: errUnnamed}
		}
		d.throttle()
		d.eachPartition(10, func(p TopicPartition) {
			done[p] = Deleted{LogStart: d.int64(), Err: d.code()}
		})
		return d.err
	})
	return outcome(done, err)
}
