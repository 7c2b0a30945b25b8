package kafkabroker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Coordinator is the id of the broker that coordinates a group.
func (c *Cluster) Coordinator(tb TB, group string) int {
	tb.Helper()
	id := -1
	c.do(tb, "find the coordinator of "+group, func(ctx context.Context, cl *kgo.Client) error {
		return until(ctx, func() (err error) {
			id, err = findCoordinator(ctx, cl, group)
			return err
		})
	})
	return id
}

// NextCoordinator waits until a running broker answers for the group, as only its
// coordinator does once it has read the group, and is the id of that one.
func (c *Cluster) NextCoordinator(tb TB, group string) int {
	tb.Helper()
	id := -1
	c.do(tb, "find the next coordinator of "+group, func(ctx context.Context, _ *kgo.Client) error {
		var asked []*Node
		var at []kmsg.Requestor
		for _, n := range c.nodes {
			if !n.Running() {
				continue
			}
			cl, only, err := c.at(n)
			if err != nil {
				return err
			}
			defer cl.Close()
			asked, at = append(asked, n), append(at, only)
		}
		return until(ctx, func() error {
			var errs []error
			for i, n := range asked {
				g, err := describeGroup(ctx, at[i], group)
				if err == nil && g.State != "Dead" {
					id = n.id
					return nil
				}
				if err == nil {
					err = fmt.Errorf("the group is %s there", g.State)
				}
				errs = append(errs, fmt.Errorf("broker %d: %w", n.id, err))
			}
			return errors.Join(errs...)
		})
	})
	return id
}

// InSync waits until every replica of every partition of the topic is in sync: only then
// can the next broker go without harm.
func (c *Cluster) InSync(tb TB, topic string) {
	tb.Helper()
	c.do(tb, "wait for the replicas of "+topic, func(ctx context.Context, cl *kgo.Client) error {
		return until(ctx, func() error {
			t, err := describeTopic(ctx, cl, topic)
			if err != nil {
				return err
			}
			for _, p := range t.Partitions {
				if len(p.ISR) < len(p.Replicas) {
					return fmt.Errorf("%s[%d]: replicas %v, in sync %v", topic, p.Partition, p.Replicas, p.ISR)
				}
			}
			return nil
		})
	})
}
