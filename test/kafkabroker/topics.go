package kafkabroker

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateTopic makes a topic and waits until every partition has a leader. With
// replication 0 it has as many replicas as there are brokers.
func (c *Cluster) CreateTopic(tb TB, name string, partitions, replication int, configs map[string]string) {
	tb.Helper()
	if replication == 0 {
		replication = len(c.nodes)
	}
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, int32(partitions), int16(replication)
	for _, k := range slices.Sorted(maps.Keys(configs)) {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = k, kmsg.StringPtr(configs[k])
		topic.Configs = append(topic.Configs, config)
	}
	c.do(tb, "create topic "+name, func(ctx context.Context, cl *kgo.Client) error {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = int32(within.Milliseconds())
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			if err := answered(t.ErrorCode, t.ErrorMessage); err != nil {
				return err
			}
		}
		return c.led(ctx, name, partitions)
	})
}

// answered is the error a broker sent, with its words.
func answered(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && message != nil {
		return fmt.Errorf("%w: %s", err, *message)
	}
	return err
}
