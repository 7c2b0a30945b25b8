package kafkabroker

import (
	"context"
	"errors"
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

// DeleteTopic deletes a topic and waits until no broker knows it.
func (c *Cluster) DeleteTopic(tb TB, name string) {
	tb.Helper()
	c.do(tb, "delete topic "+name, func(ctx context.Context, cl *kgo.Client) error {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = int32(within.Milliseconds())
		req.TopicNames = []string{name}
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, t := range resp.Topics {
			if err := answered(t.ErrorCode, t.ErrorMessage); err != nil {
				return err
			}
		}
		return c.everywhere(ctx, func(at kmsg.Requestor) error {
			_, err := describeTopic(ctx, at, name)
			switch {
			case err == nil:
				return fmt.Errorf("%s is still there", name)
			case errors.Is(err, kerr.UnknownTopicOrPartition):
				return nil
			}
			return err
		})
	})
}

// AddPartitions grows a topic to that many partitions and waits until each has a
// leader.
func (c *Cluster) AddPartitions(tb TB, name string, partitions int) {
	tb.Helper()
	c.do(tb, "add partitions to "+name, func(ctx context.Context, cl *kgo.Client) error {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = int32(within.Milliseconds())
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, int32(partitions)
		req.Topics = append(req.Topics, t)
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

// SetTopic changes settings of a topic; an empty value takes the broker's default.
func (c *Cluster) SetTopic(tb TB, name string, configs map[string]string) {
	tb.Helper()
	c.do(tb, "change topic "+name, func(ctx context.Context, cl *kgo.Client) error {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, name
		for _, k := range slices.Sorted(maps.Keys(configs)) {
			config := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			config.Name, config.Value = k, kmsg.StringPtr(configs[k])
			if configs[k] == "" {
				config.Op, config.Value = kmsg.IncrementalAlterConfigOpDelete, nil
			}
			r.Configs = append(r.Configs, config)
		}
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = append(req.Resources, r)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		for _, r := range resp.Resources {
			if err := answered(r.ErrorCode, r.ErrorMessage); err != nil {
				return err
			}
		}
		return nil
	})
}
