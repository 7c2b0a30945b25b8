package destinations

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/flushers/flushertest/e2e"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

// kafkaQueue is a topic and a group on the broker that the tests share.
type kafkaQueue struct {
	tb      testing.TB
	cluster *kafkabroker.Cluster
	client  *kgo.Client
	topic   string
	next    atomic.Int32
}

const (
	partitions = 6
	group      = "destinations"
	// session is after how long the broker gives a killed worker's partitions away. A
	// worker of the same instance id has them back at once.
	session = 6 * time.Second
)

func startKafkaQueue(tb testing.TB) e2e.Queue {
	c := kafkabroker.Shared(tb)
	q := &kafkaQueue{tb: tb, cluster: c, topic: topicName(tb)}
	c.CreateTopic(tb, q.topic, partitions, 0, nil)
	q.client = c.Client(tb, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	tb.Cleanup(q.client.Close)
	return q
}

func (q *kafkaQueue) group() string { return group + "-" + q.topic }

// Source implements e2e.Queue.
func (q *kafkaQueue) Source() map[string]any {
	return map[string]any{"kafka": map[string]any{
		"brokers": q.cluster.Bootstrap(), "topics": []string{q.topic}, "group": q.group(), "instance_id": "worker",
		"session": session.String(), "heartbeat": (session / 6).String(), "rebalance": "20s",
		"commit": map[string]any{"every": "250ms"},
	}}
}

// Send implements e2e.Queue. Keys come in turn, so each round begins one partition
// later and every lane has messages of each.
func (q *kafkaQueue) Send(*ledger.Load) ledger.Send {
	return func(ctx context.Context, key protocol.Key, body []byte) error {
		n := q.next.Add(1)
		return q.client.ProduceSync(ctx, &kgo.Record{
			Topic: q.topic, Partition: (n + n/partitions) % partitions, Value: body,
			Headers: []kgo.RecordHeader{
				{Key: protocol.HeaderProject, Value: []byte(key.Project)},
				{Key: protocol.HeaderLogstore, Value: []byte(key.Logstore)},
				{Key: protocol.HeaderConfig, Value: []byte(key.Config)},
			},
		}).FirstErr()
	}
}

// Ask implements e2e.Queue.
func (q *kafkaQueue) Ask(context.Context) (e2e.Standing, error) {
	q.tb.Helper()
	acked := 0
	for _, c := range q.cluster.Committed(q.tb, q.group(), q.topic) {
		acked += int(c.Offset)
	}
	end := q.sum(q.topic)
	return e2e.Standing{Waiting: end - acked, Acked: acked, Drained: acked == end}, nil
}

func (q *kafkaQueue) sum(topic string) int {
	n := 0
	for _, end := range q.cluster.Ends(q.tb, topic) {
		n += int(end)
	}
	return n
}

// Settled implements e2e.Queue: a commit that a process sent before it ended is carried
// out within moments, so two answers in a row are the same then.
func (q *kafkaQueue) Settled(t testing.TB) e2e.Standing {
	t.Helper()
	before := -1
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(250 * time.Millisecond) {
		at, err := q.Ask(t.Context())
		switch {
		case err != nil:
			t.Fatal(err)
		case at.Acked == before:
			return at
		case time.Now().After(deadline):
			t.Fatal("the group still commits although no worker lives")
		}
		before = at.Acked
	}
}

// Letters implements e2e.Queue.
func (q *kafkaQueue) Letters(context.Context) (int, error) {
	return q.sum(q.topic + "." + q.group() + ".dlq"), nil
}
