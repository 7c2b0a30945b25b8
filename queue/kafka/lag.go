package kafka

import (
	"context"
	"errors"
	"fmt"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// Lag is a group as the brokers see it. Offsets are those of Kafka's own tools:
// the next message to read, and one past the last.
type Lag struct {
	Cluster string // its id
	Brokers int
	State   string // of the group: Stable, Empty, Dead (there is none), ...
	Members int
	Topics  []TopicLag // in the order of Config.Topics, or by name
}

// TopicLag is one topic of a Lag. Err says why it has no partitions: a
// *MissingError, a missing right.
type TopicLag struct {
	Topic      string
	Err        error
	Partitions []PartitionLag
}

// PartitionLag is one partition. What is not known is -1. Without a committed
// offset all that the log holds is lag.
type PartitionLag struct {
	Partition int32
	Leader    string // host:port; empty: nobody leads it
	First     int64  // oldest message
	Committed int64  // next message of the group
	End       int64  // one past the last message that may be read
	Lag       int64
	Err       error // why First and End are not known
}

// Total is the lag of all partitions that is known.
func (l *Lag) Total() int64 {
	var n int64
	for i := range l.Topics {
		n += l.Topics[i].Total()
	}
	return n
}

// Total is the lag of all partitions that is known.
func (t *TopicLag) Total() int64 {
	var n int64
	for i := range t.Partitions {
		n += max(t.Partitions[i].Lag, 0)
	}
	return n
}

// Leaderless are the partitions that nobody leads.
func (t *TopicLag) Leaderless() []int32 {
	var ps []int32
	for i := range t.Partitions {
		if p := &t.Partitions[i]; p.Leader == "" {
			ps = append(ps, p.Partition)
		}
	}
	return ps
}

// GroupLag asks how far a group is in the topics of cfg. It changes nothing.
func GroupLag(ctx context.Context, client *wire.Client, cfg *Config) (*Lag, error) {
	names, err := SourceTopics(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	return groupLag(ctx, client, cfg, names)
}

func groupLag(ctx context.Context, client *wire.Client, cfg *Config, names []string) (*Lag, error) {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	cluster, err := client.Metadata(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("couldn't ask for topics: %w", err)
	}
	l := &Lag{Cluster: cluster.ID, Brokers: len(cluster.Brokers)}
	q := &lagQuery{client: client, cfg: cfg, cluster: cluster}
	for _, name := range names {
		l.Topics = append(l.Topics, q.topic(name))
	}
	if err := q.group(ctx, l); err != nil {
		return nil, err
	}
	q.ends(ctx, l.Topics)
	return l, nil
}

type lagQuery struct {
	client  *wire.Client
	cfg     *Config
	cluster *wire.Cluster
}

func (q *lagQuery) topic(name string) TopicLag {
	t := TopicLag{Topic: name}
	found := q.cluster.Topics[name]
	if found.Err != nil || len(found.Partitions) == 0 {
		t.Err = absent(q.cluster, name)
		return t
	}
	for _, p := range found.Partitions {
		one := PartitionLag{Partition: p.ID, First: -1, Committed: -1, End: -1, Lag: -1}
		if b, ok := q.cluster.Brokers[p.Leader]; ok {
			one.Leader = b.Addr()
		}
		t.Partitions = append(t.Partitions, one)
	}
	return t
}

// group fills in what the coordinator knows.
func (q *lagQuery) group(ctx context.Context, l *Lag) error {
	var all []wire.TopicPartition
	for _, t := range l.Topics {
		for _, p := range t.Partitions {
			all = append(all, wire.TopicPartition{Topic: t.Topic, Partition: p.Partition})
		}
	}
	var g *wire.GroupDescription
	var committed map[wire.TopicPartition]wire.Committed
	err := atCoordinator(ctx, q.client, q.cfg.Group, func(ctx context.Context, addr string) (err error) {
		if g, err = q.client.DescribeGroup(ctx, addr, q.cfg.Group); err != nil || len(all) == 0 {
			return err
		}
		committed, err = q.client.Committed(ctx, addr, q.cfg.Group, all)
		if errors.Is(err, kafkago.GroupIdNotFound) {
			return nil // some brokers say this instead of "no offsets"
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("couldn't ask where group %s is: %w", q.cfg.Group, err)
	}
	l.State, l.Members = g.State, len(g.Members)
	for i := range l.Topics {
		t := &l.Topics[i]
		for k := range t.Partitions {
			p := &t.Partitions[k]
			if c, ok := committed[wire.TopicPartition{Topic: t.Topic, Partition: p.Partition}]; ok {
				p.Committed = c.Offset
			}
		}
	}
	return nil
}

// ends asks each leader once for the first and once for the last offset of all it
// leads.
func (q *lagQuery) ends(ctx context.Context, topics []TopicLag) {
	asked := map[string][]wire.TopicPartition{}
	of := map[wire.TopicPartition]*PartitionLag{}
	for i := range topics {
		for k := range topics[i].Partitions {
			p := &topics[i].Partitions[k]
			if p.Leader != "" {
				at := wire.TopicPartition{Topic: topics[i].Topic, Partition: p.Partition}
				asked[p.Leader] = append(asked[p.Leader], at)
				of[at] = p
			}
		}
	}
	for leader, ps := range asked {
		first, err1 := listAt(ctx, q.client, leader, false, ps, wire.Earliest)
		end, err2 := listAt(ctx, q.client, leader, q.cfg.Isolation == ReadCommitted, ps, wire.Latest)
		for _, at := range ps {
			of[at].take(first[at], end[at], errors.Join(err1, err2))
		}
	}
}

func (p *PartitionLag) take(first, end wire.ListedOffset, err error) {
	if p.Err = errors.Join(err, first.Err, end.Err); p.Err != nil {
		return
	}
	p.First, p.End = first.Offset, end.Offset
	p.Lag = max(p.End-max(p.Committed, p.First), 0)
}

func listAt(ctx context.Context, client *wire.Client, leader string, stable bool, ps []wire.TopicPartition, t int64) (map[wire.TopicPartition]wire.ListedOffset, error) {
	q := make([]wire.OffsetAt, len(ps))
	for i, at := range ps {
		q[i] = wire.OffsetAt{TopicPartition: at, Time: t}
	}
	return client.ListOffsets(ctx, leader, stable, q)
}
