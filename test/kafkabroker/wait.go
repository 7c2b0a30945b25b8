package kafkabroker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// until asks again until a condition holds or the context ends.
func until(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// everywhere waits until a condition holds as each running broker sees it.
func (c *Cluster) everywhere(ctx context.Context, holds func(kmsg.Requestor) error) error {
	for _, n := range c.nodes {
		if !n.Running() {
			continue
		}
		cl, only, err := c.at(n)
		if err != nil {
			return err
		}
		err = until(ctx, func() error { return holds(only) })
		cl.Close()
		if err != nil {
			return fmt.Errorf("broker %d: %w", n.id, err)
		}
	}
	return nil
}

// at asks one broker: the client itself, which has to be closed, would ask any that it
// has heard of.
func (c *Cluster) at(n *Node) (*kgo.Client, kmsg.Requestor, error) {
	cl, err := c.client(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", n.internal)))
	if err != nil {
		return nil, nil, err
	}
	return cl, cl.SeedBrokers()[0], nil
}

// led waits until the topic has that many partitions, each with a leader.
func (c *Cluster) led(ctx context.Context, topic string, partitions int) error {
	return c.everywhere(ctx, func(at kmsg.Requestor) error { return ledAt(ctx, at, topic, partitions) })
}

func ledAt(ctx context.Context, at kmsg.Requestor, topic string, partitions int) error {
	t, err := describeTopic(ctx, at, topic)
	if err != nil {
		return err
	}
	if len(t.Partitions) != partitions {
		return fmt.Errorf("%s has %d partitions, not %d", topic, len(t.Partitions), partitions)
	}
	for _, p := range t.Partitions {
		if p.Leader < 0 {
			return fmt.Errorf("%s[%d] has no leader", topic, p.Partition)
		}
	}
	return nil
}

// describeTopic is a topic as metadata has it.
func describeTopic(ctx context.Context, at kmsg.Requestor, topic string) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, at)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("%d topics were described, not one", len(resp.Topics))
	}
	return &resp.Topics[0], kerr.ErrorForCode(resp.Topics[0].ErrorCode)
}
