package kafkabroker

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Group is a group as its coordinator describes it.
type Group struct {
	State   string // Stable, PreparingRebalance, CompletingRebalance, Empty, Dead
	Members []Member
}

// Member is one member of a group.
type Member struct {
	ID, Instance, Client string
	Assigned             map[string][]int32 // partitions by topic; nil if it has none
}

// Group describes a group. One that does not exist is Dead.
func (c *Cluster) Group(tb TB, group string) Group {
	tb.Helper()
	var found Group
	c.do(tb, "describe group "+group, func(ctx context.Context, cl *kgo.Client) error {
		return until(ctx, func() (err error) {
			found, err = describeGroup(ctx, cl, group)
			return err
		})
	})
	return found
}

func describeGroup(ctx context.Context, at kmsg.Requestor, group string) (Group, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{group}
	resp, err := req.RequestWith(ctx, at)
	if err != nil {
		return Group{}, err
	}
	found := Group{State: "Dead"}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return Group{}, err
		}
		found.State = g.State
		for _, m := range g.Members {
			found.Members = append(found.Members, Member{ID: m.MemberID, Instance: value(m.InstanceID), Client: m.ClientID, Assigned: assigned(m.MemberAssignment)})
		}
	}
	return found, nil
}

func assigned(raw []byte) map[string][]int32 {
	var a kmsg.ConsumerMemberAssignment
	if a.ReadFrom(raw) != nil {
		return nil // not yet synced
	}
	var found map[string][]int32
	for _, t := range a.Topics {
		if found == nil {
			found = make(map[string][]int32)
		}
		found[t.Topic] = slices.Sorted(slices.Values(t.Partitions))
	}
	return found
}
