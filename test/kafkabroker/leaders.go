package kafkabroker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Leader is the id of the broker that leads a partition, -1 for none.
func (c *Cluster) Leader(tb TB, topic string, partition int32) int {
	tb.Helper()
	leader := -1
	c.do(tb, "find the leader of "+topic, func(ctx context.Context, cl *kgo.Client) error {
		p, err := describePartition(ctx, cl, topic, partition)
		if err == nil {
			leader = int(p.Leader)
		}
		return err
	})
	return leader
}

// findCoordinator asks some broker, which may not have heard yet that one is gone.
func findCoordinator(ctx context.Context, cl *kgo.Client, group string) (id int, err error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKey = group
	req.CoordinatorKeys = []string{group}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return -1, err
	}
	for _, k := range resp.Coordinators {
		return int(k.NodeID), kerr.ErrorForCode(k.ErrorCode)
	}
	return int(resp.NodeID), kerr.ErrorForCode(resp.ErrorCode)
}

// MoveLeader makes a broker the leader of a partition, as its first replica, and
// waits until every broker says so. A partition of one replica moves with its data.
func (c *Cluster) MoveLeader(tb TB, topic string, partition int32, to int) {
	tb.Helper()
	c.do(tb, fmt.Sprintf("move the leader of %s[%d] to broker %d", topic, partition, to), func(ctx context.Context, cl *kgo.Client) error {
		p, err := describePartition(ctx, cl, topic, partition)
		if err != nil {
			return err
		}
		if err := reassign(ctx, cl, topic, partition, replicas(p.Replicas, int32(to))); err != nil {
			return err
		}
		err = until(ctx, func() error { return inSync(ctx, cl, topic, partition, int32(to), len(p.Replicas)) })
		if err != nil {
			return err
		}
		return c.everywhere(ctx, func(at kmsg.Requestor) error {
			if err := elect(ctx, cl, topic, partition); err != nil {
				return err
			}
			p, err := describePartition(ctx, at, topic, partition)
			if err == nil && p.Leader != int32(to) {
				return fmt.Errorf("broker %d leads", p.Leader)
			}
			return err
		})
	})
}

// replicas puts one broker first and keeps the number.
func replicas(now []int32, first int32) []int32 {
	next := []int32{first}
	for _, r := range now {
		if r != first && len(next) < len(now) {
			next = append(next, r)
		}
	}
	return next
}

func reassign(ctx context.Context, cl *kgo.Client, topic string, partition int32, replicas []int32) error {
	p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
	p.Partition, p.Replicas = partition, replicas
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if err := answered(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := answered(p.ErrorCode, p.ErrorMessage); err != nil {
				return err
			}
		}
	}
	return nil
}

func inSync(ctx context.Context, cl *kgo.Client, topic string, partition, first int32, n int) error {
	p, err := describePartition(ctx, cl, topic, partition)
	if err == nil && (len(p.Replicas) != n || p.Replicas[0] != first || len(p.ISR) < n) {
		return fmt.Errorf("replicas %v, in sync %v", p.Replicas, p.ISR)
	}
	return err
}

// elect makes the first replica the leader.
func elect(ctx context.Context, cl *kgo.Client, topic string, partition int32) error {
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	req := kmsg.NewPtrElectLeadersRequest()
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := answered(p.ErrorCode, p.ErrorMessage); err != nil && !errors.Is(err, kerr.ElectionNotNeeded) {
				return err
			}
		}
	}
	return nil
}

func describePartition(ctx context.Context, at kmsg.Requestor, topic string, partition int32) (*kmsg.MetadataResponseTopicPartition, error) {
	t, err := describeTopic(ctx, at, topic)
	if err != nil {
		return nil, err
	}
	for i := range t.Partitions {
		if t.Partitions[i].Partition == partition {
			return &t.Partitions[i], nil
		}
	}
	return nil, fmt.Errorf("%s has no partition %d", topic, partition)
}
