// Package kafka reads the ledger's logs back from topics of Kafka. It is a package of
// its own so that who judges files needs no client of Kafka.
package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/internal/ledger"
)

// readCommitted is the isolation level at which aborted records are not there.
const readCommitted = 1

// Read goes through a topic from each partition's first record to the one that is the
// last committed when it begins, and calls each for every log. Each partition is a
// place of its own. The options say where the brokers are and how to log in.
func Read(ctx context.Context, topic string, f ledger.Files, each func(ledger.Sighting), opts ...kgo.Opt) (ledger.Tally, error) {
	var t ledger.Tally
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.DisableClientMetrics(),
	}, opts...)...)
	if err != nil {
		return t, fmt.Errorf("couldn't read topic %s: %w", topic, err)
	}
	defer cl.Close()
	left, err := bounds(ctx, cl, topic)
	if err != nil {
		return t, fmt.Errorf("couldn't ask where topic %s ends: %w", topic, err)
	}
	t.Files = len(left)
	for p, b := range left {
		if b.start >= b.end {
			delete(left, p)
		}
	}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return t, fmt.Errorf("couldn't read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if b, ok := left[r.Partition]; ok && r.Offset < b.end {
				sight(f, r, func(s ledger.Sighting) {
					t.Logs++
					each(s)
				})
			}
			// The last one before the end is a record or a marker: compaction keeps it.
			if b, ok := left[r.Partition]; ok && r.Offset >= b.end-1 {
				delete(left, r.Partition)
			}
		})
	}
	return t, nil
}

func sight(f ledger.Files, r *kgo.Record, each func(ledger.Sighting)) {
	if r.Attrs.IsControl() {
		return
	}
	key := ledger.KeyOf(func(name string) string {
		for _, h := range r.Headers {
			if h.Key == name {
				return string(h.Value)
			}
		}
		return ""
	})
	v := ledger.Value{Place: fmt.Sprintf("%s/%d", r.Topic, r.Partition), Key: key, At: r.Timestamp, Data: r.Value}
	f.Value(&v, each)
}

// bound is where a partition begins and where what is committed ends.
type bound struct{ start, end int64 }

func bounds(ctx context.Context, cl *kgo.Client, topic string) (map[int32]*bound, error) {
	meta := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = kmsg.StringPtr(topic)
	meta.Topics = append(meta.Topics, asked)
	resp, err := meta.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	found := map[int32]*bound{}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		for _, p := range t.Partitions {
			found[p.Partition] = &bound{}
		}
	}
	const earliest, latest = -2, -1
	if err := offsets(ctx, cl, topic, earliest, found, func(b *bound, at int64) { b.start = at }); err != nil {
		return nil, err
	}
	return found, offsets(ctx, cl, topic, latest, found, func(b *bound, at int64) { b.end = at })
}

func offsets(ctx context.Context, cl *kgo.Client, topic string, at int64, of map[int32]*bound, set func(*bound, int64)) error {
	req := kmsg.NewPtrListOffsetsRequest()
	req.IsolationLevel = readCommitted
	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for p := range of {
		q := kmsg.NewListOffsetsRequestTopicPartition()
		q.Partition, q.Timestamp = p, at
		asked.Partitions = append(asked.Partitions, q)
	}
	req.Topics = append(req.Topics, asked)
	for _, shard := range cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return shard.Err
		}
		resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse)
		if !ok {
			return fmt.Errorf("a %T was answered", shard.Resp)
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return err
				}
				if b := of[p.Partition]; b != nil {
					set(b, p.Offset)
				}
			}
		}
	}
	return nil
}
