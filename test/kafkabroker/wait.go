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

// led waits until every running broker knows the topic with that many partitions,
// each with a leader.
func (c *Cluster) led(ctx context.Context, topic string, partitions int) error {
	for _, n := range c.nodes {
		if !n.Running() {
			continue
		}
		cl, err := c.clientOf(n)
		if err != nil {
			return err
		}
		err = until(ctx, func() error { return ledAt(ctx, cl, topic, partitions) })
		cl.Close()
		if err != nil {
			return fmt.Errorf("broker %d: %w", n.id, err)
		}
	}
	return nil
}

func ledAt(ctx context.Context, cl *kgo.Client, topic string, partitions int) error {
	t, err := describeTopic(ctx, cl, topic)
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

// clientOf talks to one broker only, as long as requests are for any broker.
func (c *Cluster) clientOf(n *Node) (*kgo.Client, error) {
	return c.client(kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", n.internal)))
}

// describeTopic is a topic as metadata has it.
func describeTopic(ctx context.Context, cl *kgo.Client, topic string) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		if err := kerr.ErrorForCode(resp.Topics[i].ErrorCode); err != nil {
			return nil, err
		}
		return &resp.Topics[i], nil
	}
	return nil, fmt.Errorf("nothing was said of topic %s", topic)
}
