//go:build unix

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

const (
	partitions = 12
	session    = 3 * time.Second
	span       = 2000 // short, so that what a kill may repeat is little
)

// kafka is a topic and a group on a real broker.
type kafka struct {
	cluster *kafkabroker.Cluster
	topic   string
	group   string

	static    bool // pods keep their names over restarts
	span      int
	commit    string // the block, if it is not the default
	more      string // keys of the source, each behind a comma
	session   time.Duration
	rebalance time.Duration // at least the drain and 5s

	client *kgo.Client
	next   atomic.Int32
}

// newKafkaRig is a rig on the shared broker, with a topic of its own.
func newKafkaRig(t *testing.T) (*rig, *kafka) {
	t.Helper()
	return kafkaRigOn(t, kafkabroker.Shared(t))
}

func kafkaRigOn(t *testing.T, c *kafkabroker.Cluster) (*rig, *kafka) {
	t.Helper()
	name := strings.ReplaceAll(t.Name(), "/", "-")
	k := &kafka{cluster: c, topic: name, group: "group-" + name, span: span, session: session, rebalance: 15 * time.Second}
	k.cluster.CreateTopic(t, k.topic, partitions, 0, nil)
	k.connect(t)
	r := rigOn(t, k)
	return r, k
}

// connect makes a new producer; the old one does not find a topic that was made
// again.
func (k *kafka) connect(t *testing.T) {
	t.Helper()
	k.client = k.cluster.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	t.Cleanup(k.client.Close)
}

func (k *kafka) source(pod string) string {
	more := k.more
	if k.static {
		more = ", instance_id: " + pod
	}
	if k.commit != "" {
		more += ", commit: " + k.commit
	}
	return fmt.Sprintf("kafka: {brokers: [\"%s\"], topics: [%s], group: %s, session: %s, rebalance: %s, heartbeat: %s, span: %d, client_id: %s%s}",
		strings.Join(k.cluster.Bootstrap(), `", "`), k.topic, k.group, k.session, k.rebalance, k.session/6, k.span, pod, more)
}

func (k *kafka) send(*testing.T, *ledger.Load) ledger.Send {
	return func(ctx context.Context, key protocol.Key, body []byte) error {
		return k.client.ProduceSync(ctx, k.record(key, body)).FirstErr()
	}
}

// record spreads groups over all partitions, so that every lane has messages of
// each: keys come in turn, too, so each round begins one partition later.
func (k *kafka) record(key protocol.Key, body []byte) *kgo.Record {
	n := k.next.Add(1)
	return &kgo.Record{
		Topic: k.topic, Partition: (n + n/partitions) % partitions, Value: body,
		Headers: []kgo.RecordHeader{
			{Key: protocol.HeaderProject, Value: []byte(key.Project)},
			{Key: protocol.HeaderLogstore, Value: []byte(key.Logstore)},
			{Key: protocol.HeaderConfig, Value: []byte(key.Config)},
		},
	}
}

func (k *kafka) letters(t *testing.T) int64 {
	t.Helper()
	var n int64
	for _, end := range k.cluster.Ends(t, k.topic+"."+k.group+".dlq") {
		n += end
	}
	return n
}

// lag is how many messages of the log lie at or after the committed offsets.
func (k *kafka) lag(t *testing.T) int64 {
	t.Helper()
	return k.lagOf(t, k.group, k.topic)
}

func (k *kafka) lagOf(t *testing.T, group, topic string) int64 {
	t.Helper()
	var lag int64
	for _, n := range k.lags(t, group, topic) {
		lag += n
	}
	return lag
}

// lags is the lag of each partition.
func (k *kafka) lags(t *testing.T, group, topic string) []int64 {
	t.Helper()
	committed := k.cluster.Committed(t, group, topic)
	starts := k.cluster.Starts(t, topic)
	var lags []int64
	for p, end := range k.cluster.Ends(t, topic) {
		at := starts[p]
		if c, ok := committed[p]; ok {
			at = max(at, c.Offset)
		}
		lags = append(lags, end-at)
	}
	return lags
}

// drained waits until every committed offset is the end of its log. Who waited in vain
// has to see whether nothing moved or only too little.
func (k *kafka) drained(t *testing.T, within time.Duration) {
	t.Helper()
	begin := time.Now()
	first, moved := k.lag(t), begin
	for last := first; last > 0; time.Sleep(100 * time.Millisecond) {
		if lag := k.lag(t); lag != last {
			last, moved = lag, time.Now()
		}
		if time.Since(begin) > within {
			t.Fatalf("%d of %d messages are not committed after %s, the last was %s ago: %+v",
				last, first, within, time.Since(moved).Round(100*time.Millisecond), k.cluster.Committed(t, k.group, k.topic))
		}
	}
}

// settled waits until the group is stable with n members, and every partition has
// its owner.
func (k *kafka) settled(t *testing.T, n int) kafkabroker.Group {
	t.Helper()
	var g kafkabroker.Group
	eventually(t, time.Minute, fmt.Sprintf("the group is stable with %d members", n), func() bool {
		g = k.cluster.Group(t, k.group)
		var owned int
		for _, m := range g.Members {
			owned += len(m.Assigned[k.topic])
		}
		return g.State == "Stable" && len(g.Members) == n && owned == partitions
	})
	return g
}
