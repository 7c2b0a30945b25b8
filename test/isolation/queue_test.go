//go:build linux

package isolation

import (
	"context"
	"crypto/rand"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

// queued is what differs between the queues. Each test has a stream or topic of its own.
type queued interface {
	name() string
	source() string                       // of a configuration file
	send(store int, body []byte) error    // does not wait until it is confirmed
	confirmed(within time.Duration) error // waits until all that was sent is
}

// retention of the source is shorter than a full outage, which is long enough to fill a
// disk: what is parked does not need it.
const retention = 5 * time.Minute

func storeName(n int) string { return fmt.Sprintf("store-%d", n) }

// natsQueue is a stream with one consumer.
type natsQueue struct {
	url, stream string
	js          jetstream.JetStream
	failed      atomic.Pointer[error]
}

func startNATS(t *testing.T) *natsQueue {
	t.Helper()
	id := "isolation-" + rand.Text()
	_, out := child.Start(t, "natsserver", exec.Command(bin+"/natsserver", "-name", id, "-dir", t.TempDir(), "-port", "-1"))
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("natsserver did not start: %v", err)
	}
	q := &natsQueue{url: strings.TrimSpace(line), stream: "LOGS"}
	nc, err := nats.Connect(q.url, nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if got := nc.ConnectedServerName(); got != id {
		t.Fatalf("%s is answered by server %q, not by our child %q", q.url, got, id)
	}
	fail := func(_ jetstream.JetStream, _ *nats.Msg, err error) { q.failed.Store(&err) }
	q.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1024), jetstream.WithPublishAsyncErrHandler(fail), jetstream.WithPublishAsyncTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	stream := jetstream.StreamConfig{Name: q.stream, Subjects: []string{"logs.>"}, MaxAge: retention}
	if _, err := q.js.CreateStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	return q
}

func (q *natsQueue) name() string { return "nats" }

func (q *natsQueue) source() string {
	return fmt.Sprintf("nats: {url: %q, stream: %s, durable: isolation, subjects: [logs.>]}", q.url, q.stream)
}

func (q *natsQueue) send(store int, body []byte) error {
	m := &nats.Msg{Subject: "logs." + storeName(store), Data: body, Header: nats.Header{
		protocol.HeaderProject: {"isolation"}, protocol.HeaderLogstore: {storeName(store)}, protocol.HeaderConfig: {"c"},
	}}
	_, err := q.js.PublishMsgAsync(m, jetstream.WithStallWait(time.Minute))
	return err
}

func (q *natsQueue) confirmed(within time.Duration) error {
	select {
	case <-q.js.PublishAsyncComplete():
	case <-time.After(within):
		return fmt.Errorf("%d messages are not confirmed after %s", q.js.PublishAsyncPending(), within)
	}
	if err := q.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// kafkaQueue is a topic whose partitions all lanes share.
type kafkaQueue struct {
	cluster *kafkabroker.Cluster
	topic   string
	client  *kgo.Client
	next    int32
	failed  atomic.Pointer[error]
}

const partitions = 6

func startKafka(t *testing.T) *kafkaQueue {
	t.Helper()
	q := &kafkaQueue{cluster: kafkabroker.Shared(t), topic: strings.NewReplacer("/", "-", "#", "-").Replace(t.Name())}
	q.cluster.CreateTopic(t, q.topic, partitions, 0, map[string]string{
		"retention.ms": fmt.Sprint(retention.Milliseconds()), "segment.bytes": fmt.Sprint(64 << 20),
	})
	q.client = q.cluster.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Millisecond), kgo.MaxBufferedRecords(1024))
	t.Cleanup(q.client.Close)
	return q
}

func (q *kafkaQueue) name() string { return "kafka" }

func (q *kafkaQueue) source() string {
	return fmt.Sprintf("kafka: {brokers: [\"%s\"], topics: [%s], group: g-%s}", strings.Join(q.cluster.Bootstrap(), `", "`), q.topic, q.topic)
}

func (q *kafkaQueue) send(store int, body []byte) error {
	q.next++
	// Lanes come in turn: each round begins one partition later, so that each lane has
	// records in all of them.
	partition := (q.next + q.next/lanes) % partitions
	r := &kgo.Record{Topic: q.topic, Partition: partition, Value: body, Headers: []kgo.RecordHeader{
		{Key: protocol.HeaderProject, Value: []byte("isolation")},
		{Key: protocol.HeaderLogstore, Value: []byte(storeName(store))},
		{Key: protocol.HeaderConfig, Value: []byte("c")},
	}}
	q.client.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			q.failed.Store(&err)
		}
	})
	return nil
}

func (q *kafkaQueue) confirmed(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := q.client.Flush(ctx); err != nil {
		return fmt.Errorf("not all is confirmed after %s: %w", within, err)
	}
	if err := q.failed.Load(); err != nil {
		return *err
	}
	return nil
}
