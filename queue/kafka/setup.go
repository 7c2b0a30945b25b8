package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// SetupOptions say how far Plan may go.
type SetupOptions struct {
	Update      bool         // change what exists, where it is ours: companions
	DeadLetters bool         // with the dead letter companions
	Parked      []queue.Lane // with the companions where records toward these entries are parked; Route and Flusher are read
	Partitions  int          // of source topics that are created; 0: as many as the brokers choose (num.partitions)
	Replicas    int          // of source topics that are created; 0: as many as the brokers choose (default.replication.factor)

	Retention time.Duration // of messages in source topics that are created, flushed or not; 0: as long as the brokers choose (log.retention.hours)

	// Offsets commits where a group without committed offsets begins (Config.Start),
	// so that the group exists, and its lag can be read, before the first pod joins:
	// scaling from zero needs that. Partitions with a committed offset are left alone.
	Offsets bool
}

// Plan says what has to be done so that the topics of cfg exist and their letters
// and parked records are kept. It changes nothing; printing it is the dry run. Topics of topics_regex
// are not created, but have companions.
func Plan(ctx context.Context, client *wire.Client, cfg *Config, o SetupOptions) ([]queue.Step, error) {
	names, err := SourceTopics(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	p := &planner{client: client, cfg: cfg, o: o, planned: map[string]newTopic{}}
	for _, name := range names {
		if err := p.source(ctx, name); err != nil {
			return nil, err
		}
	}
	if o.DeadLetters {
		for _, name := range names {
			if err := p.companion(ctx, letterCompanion(name, cfg.Group)); err != nil {
				return nil, err
			}
			if err := p.companion(ctx, doneCompanion(name, cfg.Group)); err != nil {
				return nil, err
			}
		}
	}
	for _, entry := range o.Parked {
		for _, name := range names {
			if err := p.companion(ctx, parkedCompanion(name, cfg.Group, entry)); err != nil {
				return nil, err
			}
		}
	}
	if o.Offsets {
		if err := p.offsets(ctx); err != nil {
			return nil, err
		}
	}
	return p.steps, nil
}

// Setup plans and carries out; the steps are what was planned, the error joins
// what failed. It goes on after a failure, so that one run shows everything.
func Setup(ctx context.Context, client *wire.Client, cfg *Config, o SetupOptions) ([]queue.Step, error) {
	steps, err := Plan(ctx, client, cfg, o)
	if err != nil {
		return nil, err
	}
	return steps, queue.ApplyAll(ctx, steps)
}

type planner struct {
	client  *wire.Client
	cfg     *Config
	o       SetupOptions
	planned map[string]newTopic // topics that will be created
	steps   []queue.Step
}

// newTopic is a topic as it will be created. The brokers choose what is 0.
type newTopic struct {
	partitions, replicas int
	settings             map[string]string
}

func (p *planner) source(ctx context.Context, name string) error {
	cluster, found, err := describe(ctx, p.client, []string{name})
	if err != nil {
		return err
	}
	if d := found[name]; d != nil {
		v := &verifier{cfg: p.cfg, cluster: cluster}
		p.existing(queue.Step{What: "topic", Name: name}, compare(p.cfg, name, v.sourceRows(d)))
		return nil
	}
	var missing *queue.MissingError
	if err := absent(cluster, name); !errors.As(err, &missing) {
		return err
	}
	t := newTopic{partitions: p.o.Partitions, replicas: p.o.Replicas, settings: map[string]string{}}
	if p.o.Replicas > 2 {
		t.settings[minInSyncReplicas] = "2" // what is confirmed to a producer outlives any one broker
	}
	if p.o.Retention > 0 {
		t.settings[retentionTime] = strconv.FormatInt(p.o.Retention.Milliseconds(), 10)
	}
	p.planned[name] = t
	p.steps = append(p.steps, p.create("topic", name, t))
	return nil
}

// companion plans a companion topic of a source.
func (p *planner) companion(ctx context.Context, c companion) error {
	topic, name := c.source, c.name
	if len(name) > maxTopicName {
		return fmt.Errorf("the %s of %s would be called %s: that is %d characters, Kafka allows %d; choose %s, or %s",
			c.kind, topic, name, len(name), maxTopicName, c.shorter(), c.otherwise)
	}
	cluster, found, err := describe(ctx, p.client, []string{topic, name})
	if err != nil {
		return err
	}
	source, d := found[topic], found[name]
	if source == nil {
		t, planned := p.planned[topic]
		if !planned {
			return absent(cluster, topic)
		}
		source = t.described(topic)
	}
	if d != nil {
		p.existing(queue.Step{What: "companion", Name: name}, compare(p.cfg, name, c.rows(d, source)))
		return nil
	}
	err = absent(cluster, name)
	var missing *queue.MissingError
	// Without the right to describe it nobody tells whether it exists: to create it
	// shows which right is missing.
	if !errors.As(err, &missing) && !errors.Is(err, kafkago.TopicAuthorizationFailed) {
		return err
	}
	t := c.topic(source)
	if p.planned != nil {
		p.planned[name] = t
	}
	p.steps = append(p.steps, p.create("companion", name, t))
	return nil
}

// described is a topic that does not exist yet as describe would find it.
func (t newTopic) described(name string) *described {
	return &described{
		Topic:    wire.Topic{Name: name, Partitions: make([]wire.Partition, t.partitions)},
		replicas: t.replicas, settings: t.settings,
	}
}

// topic is how the companion is created.
func (c companion) topic(source *described) newTopic {
	limit, _ := source.limit()
	settings := map[string]string{
		cleanupPolicy: "delete", retentionTime: "-1", retentionBytes: "-1",
		maxMessageBytes: strconv.Itoa(limitFor(limit)),
	}
	if c.compacted {
		settings = compactSoon()
	}
	if inSync, ok := source.number(minInSyncReplicas); ok {
		if source.replicas > 0 { // a source that demands more than it has takes no messages, either
			inSync = min(inSync, int64(source.replicas))
		}
		settings[minInSyncReplicas] = strconv.FormatInt(inSync, 10)
	}
	partitions := len(source.Partitions)
	if c.partitions > 0 {
		partitions = min(partitions, c.partitions)
	}
	return newTopic{partitions: max(partitions, 1), replicas: source.replicas, settings: settings}
}

func (p *planner) create(what, name string, t newTopic) queue.Step {
	step := queue.Step{What: what, Name: name, Action: queue.Create, Changes: []queue.Change{
		{Field: "partitions", To: orBrokers(t.partitions)},
		{Field: "replication factor", To: orBrokers(t.replicas)},
	}}
	for _, field := range slices.Sorted(maps.Keys(t.settings)) {
		step.Changes = append(step.Changes, queue.Change{Field: field, To: t.settings[field]})
	}
	step.Do = func(ctx context.Context) error { return createTopic(ctx, p.client, name, t) }
	return step
}

func orBrokers(n int) string {
	if n <= 0 {
		return "the brokers' default"
	}
	return strconv.Itoa(min(n, math.MaxInt32))
}

// existing plans what to do about the findings of a topic that is there.
func (p *planner) existing(step queue.Step, found []queue.Finding) {
	step.Mend(found, p.o.Update, func(ctx context.Context, fs []queue.Finding) error {
		return alterSettings(ctx, p.client, step.Name, fs)
	})
	p.steps = append(p.steps, step)
}
