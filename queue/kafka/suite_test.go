package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap/zaptest"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/queuetest"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	queuetest.Run(t, queuetest.Harness{
		Open:     func(t *testing.T) queuetest.Queue { return openQueue(t, b.Bootstrap()) },
		Lose:     lose,
		Cursor:   true,
		Patience: time.Minute,
	})
}

func TestConformanceOfFake(t *testing.T) {
	t.Parallel()
	f := fake(t)
	queuetest.Run(t, queuetest.Harness{
		Open:     func(t *testing.T) queuetest.Queue { return openQueue(t, f.ListenAddrs()) },
		Lose:     lose,
		Cursor:   true,
		Patience: time.Minute,
	})
}

func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	f, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// lose throws the member out of the group, as an administrator can.
func lose(t *testing.T, q queuetest.Queue) { q.(*testQueue).evict() }

// testQueue is one topic of one partition, read by one group.
type testQueue struct {
	*testing.T
	cfg   kafka.Config
	topic string
	cl    *kgo.Client
}

// openQueue makes a topic and a group named after the test.
func openQueue(t *testing.T, brokers []string) *testQueue {
	t.Helper()
	q := newQueue(t, brokers)
	q.createTopic(1)
	return q
}

func newQueue(t *testing.T, brokers []string) *testQueue {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, t.Name())
	if len(name) > 100 {
		name = name[len(name)-100:]
	}
	cfg := kafka.DefaultConfig()
	cfg.Brokers = brokers
	cfg.Topics = []string{name}
	cfg.Group = "group-" + name
	cfg.Session, cfg.Heartbeat = 6*time.Second, 200*time.Millisecond
	cfg.Commit.Every = 50 * time.Millisecond
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(2<<20), kgo.BrokerMaxWriteBytes(100<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &testQueue{T: t, cfg: cfg, topic: name, cl: cl}
}

func (q *testQueue) createTopic(partitions int32) {
	q.Helper()
	if err := q.tryCreate(partitions); err != nil {
		q.Fatalf("create topic %s: %v", q.topic, err)
	}
}

func (q *testQueue) tryCreate(partitions int32) error {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = q.topic, partitions, 1
	config := kmsg.NewCreateTopicsRequestTopicConfig()
	config.Name, config.Value = "max.message.bytes", kmsg.StringPtr("8388608")
	topic.Configs = append(topic.Configs, config)
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(q.Context(), q.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("couldn't create: %w", err)
	}
	return nil
}

// Publish implements queuetest.Queue, on partition 0.
func (q *testQueue) Publish(ctx context.Context, ms ...queue.Message) error {
	rs := make([]*kgo.Record, len(ms))
	for i := range ms {
		rs[i] = &kgo.Record{Topic: q.topic, Partition: ms[i].Partition, Key: ms[i].Key, Value: ms[i].Value}
		for _, h := range ms[i].Headers {
			rs[i].Headers = append(rs[i].Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
		}
	}
	if err := q.cl.ProduceSync(ctx, rs...).FirstErr(); err != nil {
		return fmt.Errorf("couldn't publish: %w", err)
	}
	return nil
}

// Source implements queuetest.Queue.
func (q *testQueue) Source() (queue.Source, error) {
	s, err := q.open()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (q *testQueue) open() (*kafka.Source, error) {
	cfg := q.cfg
	s, err := kafka.Open(q.Context(), &cfg, kafka.Options{Log: zaptest.NewLogger(q.T, zaptest.Level(zaptest.NewLogger(q.T).Level()))})
	if err == nil {
		q.Cleanup(s.Close)
	}
	return s, err
}

// Pending implements queuetest.Queue, for partition 0.
func (q *testQueue) Pending(ctx context.Context) (int64, error) {
	end, err := q.offset(ctx, 0, -1)
	if err != nil {
		return 0, err
	}
	low, err := q.committed(ctx, 0)
	if err != nil {
		return 0, err
	}
	return end - max(low, 0), nil
}

// offset lists the offset of a time: -1 is the end, -2 the start.
func (q *testQueue) offset(ctx context.Context, partition int32, at int64) (int64, error) {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = partition, at
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic, topic.Partitions = q.topic, append(topic.Partitions, p)
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.Topics = -1, append(req.Topics, topic)
	for _, shard := range q.cl.RequestSharded(ctx, req) {
		if shard.Err != nil {
			return 0, fmt.Errorf("couldn't list offsets: %w", shard.Err)
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				return p.Offset, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return 0, fmt.Errorf("no broker listed offsets of %s", q.topic)
}

// committed is the group's offset of a partition; -1 is none.
func (q *testQueue) committed(ctx context.Context, partition int32) (int64, error) {
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic, topic.Partitions = q.topic, []int32{partition}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = q.cfg.Group, append(req.Topics, topic)
	g := kmsg.NewOffsetFetchRequestGroup()
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.Partitions = q.topic, []int32{partition}
	g.Group, g.Topics = q.cfg.Group, append(g.Topics, gt)
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, q.cl)
	if err != nil {
		return 0, fmt.Errorf("couldn't fetch offsets: %w", err)
	}
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				return p.Offset, kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			return p.Offset, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return -1, nil
}

// evict removes every member from the group.
func (q *testQueue) evict() {
	q.Helper()
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{q.cfg.Group}
	d, err := describe.RequestWith(q.Context(), q.cl)
	if err != nil || len(d.Groups) != 1 || len(d.Groups[0].Members) == 0 {
		q.Fatalf("describe group %s: %v, %+v", q.cfg.Group, err, d)
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = q.cfg.Group
	for _, m := range d.Groups[0].Members {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = m.MemberID
		leave.Members = append(leave.Members, one)
	}
	r, err := leave.RequestWith(q.Context(), q.cl)
	if err == nil {
		err = kerr.ErrorForCode(r.ErrorCode)
	}
	if err != nil {
		q.Fatalf("evict the members of %s: %v", q.cfg.Group, err)
	}
}
