package kafka

import (
	"context"
	"fmt"
	"strconv"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// offsets plans the commit of where the group begins.
func (p *planner) offsets(ctx context.Context) error {
	step := queue.Step{What: "offsets", Name: p.cfg.Group, Action: queue.Create}
	if p.cfg.Start == StartCommitted {
		step.Action = queue.Refuse
		step.Why = "start is committed, which names no position: write start: earliest, latest or a time, and change it back afterwards"
		p.steps = append(p.steps, step)
		return nil
	}
	b, err := p.beginning(ctx)
	if err != nil {
		return err
	}
	for _, name := range b.unknown {
		step.Changes = append(step.Changes, queue.Change{Field: name, To: p.cfg.Start})
	}
	for _, c := range b.commits {
		step.Changes = append(step.Changes, queue.Change{Field: c.TopicPartition.String(), To: strconv.FormatInt(c.Offset, 10) + " (" + p.cfg.Start + ")"})
	}
	switch {
	case len(b.commits)+len(b.unknown) == 0:
		step.Action = queue.OK
	case b.members > 0:
		step.Action, step.Changes = queue.OK, nil
		step.Why = fmt.Sprintf("the group has %d members, which begin by themselves: nothing is committed in their place", b.members)
	default:
		step.Do = p.begin
	}
	p.steps = append(p.steps, step)
	return nil
}

// beginning is what a group without members would have to commit.
type beginning struct {
	members int
	commits []wire.CommitPartition
	unknown []string // topics that this plan creates first
}

// beginning asks for the partitions without committed offset and where they begin.
func (p *planner) beginning(ctx context.Context) (*beginning, error) {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	lag, err := GroupLag(ctx, p.client, p.cfg)
	if err != nil {
		return nil, err
	}
	b := &beginning{members: lag.Members}
	for i := range lag.Topics {
		t := &lag.Topics[i]
		if _, made := p.planned[t.Topic]; made && t.Err != nil {
			b.unknown = append(b.unknown, t.Topic)
		}
		for k := range t.Partitions {
			one := &t.Partitions[k]
			if one.Committed >= 0 {
				continue
			}
			at := wire.TopicPartition{Topic: t.Topic, Partition: one.Partition}
			offset, err := p.startOf(ctx, at, one)
			if err != nil {
				return nil, fmt.Errorf("couldn't find where %s begins: %w", at, err)
			}
			b.commits = append(b.commits, wire.CommitPartition{TopicPartition: at, Offset: offset})
		}
	}
	return b, nil
}

func (p *planner) startOf(ctx context.Context, at wire.TopicPartition, log *PartitionLag) (int64, error) {
	switch {
	case log.Leader == "":
		return 0, errLeaderless
	case log.Err != nil:
		return 0, log.Err
	case p.cfg.Start == StartEarliest:
		return log.First, nil
	case p.cfg.Start == StartLatest:
		return log.End, nil
	}
	t, err := p.cfg.startAt()
	if err != nil {
		return 0, err
	}
	found, err := listAt(ctx, p.client, log.Leader, false, []wire.TopicPartition{at}, t.UnixMilli())
	if err == nil {
		err = found[at].Err
	}
	if err != nil {
		return 0, err
	}
	if found[at].Offset < 0 { // no message is that young
		return log.End, nil
	}
	return found[at].Offset, nil
}

// begin commits. Coordinators take commits from outside only while a group has no
// members, so one that came to life meanwhile is not disturbed.
func (p *planner) begin(ctx context.Context) error {
	b, err := p.beginning(ctx)
	if err != nil {
		return err
	}
	switch {
	case len(b.unknown) > 0:
		return &queue.MissingError{What: "topic", Name: b.unknown[0]}
	case len(b.commits) == 0:
		return nil
	}
	return atCoordinator(ctx, p.client, p.cfg.Group, func(ctx context.Context, addr string) error {
		failed, err := p.client.Commit(ctx, addr, wire.Membership{Group: p.cfg.Group, Generation: -1}, b.commits)
		for at, err := range failed {
			return fmt.Errorf("couldn't commit where %s begins: %w", at, err)
		}
		return err
	})
}
