package destinations

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

// kafkaTarget is a broker of its own: it is killed, and the queue's lives.
func kafkaTarget(tb testing.TB) flushertest.Target {
	c := kafkabroker.Start(tb, kafkabroker.Options{})
	topic := topicName(tb)
	c.CreateTopic(tb, topic, partitions, 0, nil)
	return flushertest.Target{
		Options: map[string]any{"brokers": c.Bootstrap(), "topic": topic},
		Stored:  func() ([]flushertest.Record, error) { return readTopic(tb, c, topic) },
		Break: func() {
			c.Node(1).Kill()
			<-time.After(time.Second)
		},
		Heal: func() { c.Node(1).Restart(tb) },
	}
}

// readTopic reads the LogGroups of a topic, from its beginning to its end.
func readTopic(tb testing.TB, c *kafkabroker.Cluster, topic string) ([]flushertest.Record, error) {
	left := c.Ends(tb, topic)
	for p, end := range left {
		if end == 0 {
			delete(left, p)
		}
	}
	cl := c.Client(tb, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), 2*time.Minute)
	defer cancel()
	var out []flushertest.Record
	var bad error
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			g := &protocol.LogGroup{}
			if err := g.Unmarshal(r.Value); err != nil {
				bad = err
			}
			out = append(out, flushertest.Records(g)...)
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return out, bad
}
