//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// killCoordinator kills the broker that coordinates the group and says which
// partitions it led.
func (s *kafkaServer) killCoordinator(group string, l load) (led []int32, mend func() error, err error) {
	cl, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey, find.CoordinatorKeys = group, []string{group}
	found, err := find.RequestWith(ctx, cl)
	if err != nil {
		return nil, nil, err
	}
	id := found.NodeID
	if len(found.Coordinators) > 0 {
		id = found.Coordinators[0].NodeID
	}
	ask := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(l.Stream)
	ask.Topics = append(ask.Topics, topic)
	md, err := ask.RequestWith(ctx, cl)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range md.Topics[0].Partitions {
		if p.Leader == id {
			led = append(led, p.Partition)
		}
	}
	if len(led) == len(md.Topics[0].Partitions) {
		return nil, nil, fmt.Errorf("broker %d leads every partition: nothing can be judged", id)
	}
	node := s.cluster.Node(int(id))
	node.Kill()
	return led, func() error { return node.Start(context.Background()) }, nil
}
