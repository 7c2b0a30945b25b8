package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Lanes implements queue.Parked: an entry for each partition in which something is
// parked, with how many records are left and when the oldest was parked. A log counts
// positions, and nothing short of reading it says which of them are pieces of one record
// (of one above the topic's limit, which is the source's and 64 KiB), or have ended above
// the group's offset, which sweeps move: each of them counts. Companions of entries that the configuration no longer has are
// among them. It changes nothing.
func (p *Parked) Lanes(ctx context.Context) ([]queue.Backlog, error) {
	var all []queue.Backlog
	err := p.each(ctx, func(at *parkedPlace) error {
		if at.Err != nil {
			return fmt.Errorf("couldn't ask how much is parked in %s: %w", at.TopicPartition, at.Err)
		}
		if at.Lag > 0 {
			all = append(all, queue.Backlog{
				Lane: at.entry, Place: at.String(), Messages: at.Lag, Oldest: p.oldest(ctx, at),
			})
		}
		return nil
	})
	return all, err
}

// parkedPlace is one partition of a companion, as the brokers see it.
type parkedPlace struct {
	wire.TopicPartition
	*PartitionLag
	entry queue.Lane
}

// String is the partition's name.
func (at *parkedPlace) String() string { return at.TopicPartition.String() }

// each calls f for every partition of every companion, ordered by name.
func (p *Parked) each(ctx context.Context, f func(*parkedPlace) error) error {
	names, err := p.topics(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	cfg := *p.cfg
	cfg.Group = parkedGroup(cfg.Group)
	lag, err := groupLag(ctx, p.client, &cfg, names)
	if err != nil {
		return err
	}
	for i := range lag.Topics {
		t := &lag.Topics[i]
		if t.Err != nil {
			return t.Err
		}
		_, entry, _ := p.parse(t.Topic)
		for k := range t.Partitions {
			one := &t.Partitions[k]
			at := wire.TopicPartition{Topic: t.Topic, Partition: one.Partition}
			if err := f(&parkedPlace{TopicPartition: at, PartitionLag: one, entry: entry}); err != nil {
				return err
			}
		}
	}
	return nil
}

// oldest is when the first record was stored that the log still has; zero if nobody
// says. Records that have ended are deleted soon.
func (p *Parked) oldest(ctx context.Context, at *parkedPlace) time.Time {
	ctx, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	found, err := listAt(ctx, p.client, at.Leader, false, []wire.TopicPartition{at.TopicPartition}, 0)
	one, ok := found[at.TopicPartition]
	if err != nil || !ok || one.Err != nil || one.Offset < 0 || one.Time <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(one.Time)
}

// topics are the companions that exist, by name.
func (p *Parked) topics(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	cluster, err := p.client.Metadata(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("couldn't ask which parked topics there are: %w", advised(err))
	}
	var names []string
	for name := range cluster.Topics {
		if p.name.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}
