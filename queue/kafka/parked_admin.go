package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Drop deletes all that is parked for a flusher entry (Route and Flusher of entry) in
// one partition of its companions, or in all of them if partition is below zero, and
// says how many records that were. Kafka deletes from the beginning of a partition, so
// a lane cannot be dropped by itself: an entry with a Project, Logstore or Config is
// refused.
//
// Workers may run. What one of them holds at the moment may still be delivered, or be
// put again and stay.
func (p *Parked) Drop(ctx context.Context, entry queue.Lane, partition int32) (records int64, err error) {
	if entry.Project+entry.Logstore+entry.Config != "" {
		return 0, errors.New("couldn't drop a lane: Kafka deletes whole partitions, in which other lanes lie, too; " +
			"move the lane toward a flusher that nobody uses (flushline parked move), and drop that")
	}
	found := false
	err = p.each(ctx, func(at *parkedPlace) error {
		if at.entry.Entry() != entry.Entry() || partition >= 0 && at.TopicPartition.Partition != partition {
			return nil
		}
		found = true
		switch {
		case at.Leader == "":
			return fmt.Errorf("couldn't drop what is parked in %s: %w", at, errNoLeader)
		case at.Err != nil:
			return fmt.Errorf("couldn't ask how much is parked in %s: %w", at, at.Err)
		case at.First >= at.End:
			return nil
		}
		n, err := p.drop(ctx, at)
		records += n
		return err
	})
	if err == nil && !found {
		err = p.nothingParked(entry)
	}
	return records, err
}

func (p *Parked) nothingParked(entry queue.Lane) error {
	return fmt.Errorf("couldn't find what is parked for %s: there is no topic TOPIC.%s%s%s.%s", entry.Entry(), p.cfg.Group, parkedInfix, entry.Route, entry.Flusher)
}

func (p *Parked) drop(ctx context.Context, at *parkedPlace) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, deletePatience)
	defer cancel()
	done, err := p.client.DeleteRecords(ctx, at.Leader, []wire.DeleteBefore{{TopicPartition: at.TopicPartition, Offset: at.End}})
	if err == nil {
		err = done[at.TopicPartition].Err
	}
	if err != nil {
		return 0, fmt.Errorf("couldn't drop what is parked in %s: %w", at, advised(err))
	}
	return at.Lag, nil
}

// Move puts what is parked for one flusher entry into the companions of another one,
// with x-flushline-to changed, and says how many records that were. If from has a
// Project, Logstore or Config, only records of such a key are moved. What is moved keeps
// its origin; a record that is stored there and not yet gone here when the process dies
// comes twice.
//
// No worker may serve parked records meanwhile, which is asked first: Move joins their
// group, so that nothing is served and moved at once, and takes every partition. A
// worker that starts meanwhile ends it with an error, and it can be run again.
func (p *Parked) Move(ctx context.Context, from, to queue.Lane) (records int64, err error) {
	if from.Entry() == to.Entry() {
		return 0, fmt.Errorf("couldn't move what is parked for %s: it is parked for that already", from.Entry())
	}
	if err := p.nobodyServes(ctx); err != nil {
		return 0, err
	}
	m := &mover{from: from, to: queue.Lane{Route: to.Route, Flusher: to.Flusher}, open: map[wire.TopicPartition]bool{}}
	m.parked = p
	topics := map[string]bool{}
	err = p.each(ctx, func(at *parkedPlace) error {
		if at.entry.Entry() == from.Entry() {
			topics[at.Topic] = true
			m.open[at.TopicPartition] = true
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case len(topics) == 0:
		return 0, p.nothingParked(from)
	}
	for name := range topics {
		source, _, _ := p.parse(name)
		if _, err := p.sink(ctx, source, m.to); err != nil {
			return 0, err
		}
	}
	return m.run(ctx)
}

// nobodyServes says whether the group of parked records has members.
func (p *Parked) nobodyServes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	group := parkedGroup(p.cfg.Group)
	var g *wire.GroupDescription
	err := atCoordinator(ctx, p.client, group, func(ctx context.Context, addr string) (err error) {
		g, err = p.client.DescribeGroup(ctx, addr, group)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("couldn't ask who serves parked records: %w", advised(err))
	case len(g.Members) > 0:
		return fmt.Errorf("couldn't move parked records while group %s serves them: stop its workers first (%s)", group, clients(g))
	}
	return nil
}
