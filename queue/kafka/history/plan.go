package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// PlanRange fixes a range of the topics of cfg: one slice for each partition, by
// topic and number, dealt out to of shards in turn. Its ends are offsets that exist
// now: under read_committed up to the last stable offset, else to the high watermark.
// A partition in which the range is empty has a slice without positions.
//
// A bound that names partitions reads no others. A bound by time is the first message
// at or after it in each partition, and where there is none, the end. What lies below
// the start of a log is in Plan.Lost.
//
// It asks, and asks again while what is wrong may pass by itself, for as long as
// cfg.ConnectTimeout says. A range that cannot be, such as one that ends before it
// begins, is an error that says why and what to write.
func PlanRange(ctx context.Context, client *wire.Client, cfg *kafka.Config, from, to job.Bound, of int) (*job.Plan, error) {
	p := &planner{client: client, cfg: cfg, from: from, to: to}
	found, err := p.survey(ctx)
	if err != nil {
		return nil, fmt.Errorf("couldn't plan the range %s: %w", rangeText(from, to), err)
	}
	plan := &job.Plan{Kind: Kind, Range: rangeText(from, to)}
	var all []job.Slice
	for i := range found {
		s, lost, err := found[i].slice(from, to)
		if err != nil {
			return nil, job.Impossible(fmt.Errorf("couldn't plan the range %s: %w", plan.Range, err))
		}
		s.Shard = i % max(of, 1)
		all = append(all, s)
		plan.Lost = append(plan.Lost, lost...)
	}
	plan.Slices = func(yield func(job.Slice, error) bool) {
		for i := range all {
			if !yield(all[i], nil) {
				return
			}
		}
	}
	return plan, nil
}

func rangeText(from, to job.Bound) string { return "from " + from.Text + " to " + to.Text }

// planner asks the brokers for what a range depends on.
type planner struct {
	client   *wire.Client
	cfg      *kafka.Config
	from, to job.Bound
}

// survey asks until somebody answers, or what is wrong will not pass.
func (p *planner) survey(ctx context.Context) ([]partition, error) {
	if p.cfg.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.cfg.ConnectTimeout)
		defer cancel()
	}
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	for {
		found, err := p.ask(ctx)
		if err == nil || !mayPass(err) || sleepUntil(ctx, time.Now().Add(pause.NextBackOff())) != nil {
			return found, err
		}
	}
}

// ask makes one attempt.
func (p *planner) ask(ctx context.Context) ([]partition, error) {
	names, err := kafka.SourceTopics(ctx, p.client, p.cfg)
	if err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	cluster, err := p.client.Metadata(asking, names)
	if err != nil {
		return nil, fmt.Errorf("couldn't ask for topics: %w", advised(err))
	}
	found, err := p.partitions(cluster, names)
	if err != nil {
		return nil, err
	}
	if found, err = p.named(found); err != nil {
		return nil, job.Impossible(err)
	}
	if err := p.committed(ctx, found); err != nil {
		return nil, err
	}
	return found, p.offsets(asking, found)
}

// partitions lists those of the topics.
func (p *planner) partitions(cluster *wire.Cluster, names []string) ([]partition, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("no topic matches topics_regex %q: write one that does, or topics", p.cfg.TopicsRegex)
	}
	var found []partition
	for _, name := range slices.Sorted(slices.Values(names)) {
		t := cluster.Topics[name]
		if err := absent(name, &t); err != nil {
			return nil, err
		}
		for _, part := range t.Partitions {
			leader, ok := cluster.Brokers[part.Leader]
			at := wire.TopicPartition{Topic: name, Partition: part.ID}
			if !ok {
				return nil, &passingError{fmt.Errorf("couldn't ask where %s begins and ends: no broker leads it", at)}
			}
			found = append(found, partition{TopicPartition: at, id: t.ID, leader: leader.Addr(), committed: -1})
		}
	}
	slices.SortFunc(found, func(a, b partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return found, nil
}

// committed fills in where the live group is, if a bound asks for that.
func (p *planner) committed(ctx context.Context, found []partition) error {
	if !p.from.Committed && !p.to.Committed {
		return nil
	}
	var ask []wire.TopicPartition
	for i := range found {
		ask = append(ask, found[i].TopicPartition)
	}
	got, err := kafka.Committed(ctx, p.client, p.cfg.Group, ask)
	if err != nil {
		return &passingError{err}
	}
	for i := range found {
		f := &found[i]
		offset, ok := got[f.TopicPartition]
		if !ok {
			return job.Impossible(fmt.Errorf("%s: group %s has committed no offset there, so committed names no place: write another bound, or one that leaves the partition out, such as %d:OFFSET for those to read", f, p.cfg.Group, f.Partition))
		}
		f.committed = offset
	}
	return nil
}

// offsets fills in what the leaders know.
func (p *planner) offsets(ctx context.Context, found []partition) error {
	byLeader := map[string][]*partition{}
	for i := range found {
		byLeader[found[i].leader] = append(byLeader[found[i].leader], &found[i])
	}
	for _, fs := range byLeader {
		list := func(t int64, to func(*partition) *wire.ListedOffset) error {
			return p.list(ctx, fs, t, to)
		}
		if err := list(wire.Latest, func(f *partition) *wire.ListedOffset { return &f.end }); err != nil {
			return err
		}
		if err := list(wire.Earliest, func(f *partition) *wire.ListedOffset { return &f.first }); err != nil {
			return err
		}
		if !p.from.Time.IsZero() {
			if err := list(millis(p.from.Time), func(f *partition) *wire.ListedOffset { return &f.fromTime }); err != nil {
				return err
			}
			if err := list(0, func(f *partition) *wire.ListedOffset { return &f.oldest }); err != nil {
				return err
			}
		}
		if !p.to.Time.IsZero() {
			if err := list(millis(p.to.Time), func(f *partition) *wire.ListedOffset { return &f.toTime }); err != nil {
				return err
			}
		}
	}
	return nil
}

// list asks one leader for the offsets of a time.
func (p *planner) list(ctx context.Context, fs []*partition, t int64, to func(*partition) *wire.ListedOffset) error {
	ask := make([]wire.OffsetAt, len(fs))
	for i, f := range fs {
		ask[i] = wire.OffsetAt{TopicPartition: f.TopicPartition, Time: t}
	}
	got, err := p.client.ListOffsets(ctx, fs[0].leader, p.cfg.Isolation == kafka.ReadCommitted, ask)
	if err != nil {
		return fmt.Errorf("couldn't ask for offsets: %w", advised(err))
	}
	for _, f := range fs {
		one := got[f.TopicPartition]
		if one.Err != nil {
			err := &wire.Error{Op: "list offsets of " + f.String(), Broker: f.leader, Err: one.Err}
			return fmt.Errorf("couldn't ask for offsets: %w", advised(err))
		}
		*to(f) = one
	}
	return nil
}

// millis is the first time that Kafka knows at or after t.
func millis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return max(ms, 0)
}
