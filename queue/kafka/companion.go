package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	// letterRoom is how much larger a letter may be than the message it keeps: our
	// headers, and a LogGroupList around what was a group.
	letterRoom = 64 << 10

	// letterPartitions bounds the partitions of a companion: letters are few, and
	// one whose leader is away must not hold back all of them.
	letterPartitions = 3

	maxTopicName = 249
)

// deadLetterTopic is the companion's name: one for each topic and group.
func deadLetterTopic(topic, group string) string { return topic + "." + group + ".dlq" }

// isCompanion says whether a name is that of a companion, of this group or of any
// other: <topic>.<group>.dlq, <topic>.<group>.parked.<route>.<flusher>, or a job's
// <topic>.<group>.job.<job>. A pattern never matches them. Two groups whose patterns took each other's dead letters as
// sources would make companions of companions without end.
func isCompanion(topic string) bool {
	if _, _, ours := parseJobTopic(topic); ours {
		return true
	}
	before, ours := strings.CutSuffix(topic, ".dlq")
	if !ours {
		var target string
		if before, target, ours = strings.Cut(topic, ".parked."); !ours || !strings.Contains(target, ".") {
			return false
		}
	}
	name, group, ok := strings.Cut(before, ".")
	return ok && name != "" && group != ""
}

// Letters is the dead letter queue of a source: for each topic the companion
// <topic>.<group>.dlq. A letter goes to the companion of the topic that its header
// x-flushline-source names, to any partition that has a leader; those of one Put
// and topic stay together and in order.
//
// Letters may be used from any goroutine.
type Letters struct {
	client *wire.Client
	cfg    *Config

	opening sync.Mutex // one question to the brokers at a time
	mu      sync.Mutex
	sinks   map[string]*Sink // by source topic
	first   string           // where letters go that name no topic we know
}

var _ queue.Sink = (*Letters)(nil)

// DeadLetters makes sure that the companions of the source's topics exist and lose
// nothing: the topics that cfg names, or those that match its pattern now. One that
// appears later needs Open before its first message is fetched.
//
// A companion has the replicas and min.insync.replicas of its source, at most three
// of its partitions, no retention, no compaction, and takes messages 64 KiB larger.
// It is created if it is missing. One that would lose letters is refused with the
// command that mends it. If it cannot be created or written, the error names the
// right, `flushline setup` and the option to write to files instead.
func DeadLetters(ctx context.Context, client *wire.Client, cfg *Config) (*Letters, error) {
	names, err := SourceTopics(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	l := &Letters{client: client, cfg: cfg, sinks: map[string]*Sink{}}
	for _, name := range names {
		var missing *queue.MissingError
		if err := l.Open(ctx, name); err != nil && !errors.As(err, &missing) {
			return nil, err
		}
	}
	return l, nil
}

// Open makes sure of the companion of one topic, as DeadLetters does. It asks the
// brokers only the first time. The error is a *MissingError while the topic itself
// does not exist.
func (l *Letters) Open(ctx context.Context, topic string) error {
	_, err := l.sink(ctx, topic)
	return err
}

func (l *Letters) sink(ctx context.Context, topic string) (*Sink, error) {
	if s := l.opened(topic); s != nil {
		return s, nil
	}
	l.opening.Lock()
	defer l.opening.Unlock()
	if s := l.opened(topic); s != nil {
		return s, nil
	}
	s, err := openCompanion(ctx, l.client, l.cfg, topic)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sinks[topic] = s
	if l.first == "" {
		l.first = topic
	}
	return s, nil
}

func (l *Letters) opened(topic string) *Sink {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sinks[topic]
}

// Describe implements queue.Sink.
func (l *Letters) Describe() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch len(l.sinks) {
	case 0:
		return "kafka topics TOPIC." + l.cfg.Group + ".dlq"
	case 1:
		return l.sinks[l.first].Describe()
	}
	return l.sinks[l.first].Describe() + " and its siblings"
}

// Put implements queue.Sink. Companions are written side by side: one that fails
// does not use up the time of the others.
func (l *Letters) Put(ctx context.Context, ms []queue.Message) []error {
	places := map[string][]int{}
	for i := range ms {
		topic := l.topicOf(&ms[i])
		places[topic] = append(places[topic], i)
	}
	errs := make([]error, len(ms))
	var wg sync.WaitGroup
	for topic, indexes := range places {
		wg.Go(func() { l.put(ctx, topic, indexes, ms, errs) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return errs
		}
	}
	return nil
}

// put stores those of ms that belong to one topic and writes only their errors.
func (l *Letters) put(ctx context.Context, topic string, indexes []int, ms []queue.Message, errs []error) {
	sink, err := l.sink(ctx, topic)
	if err != nil {
		for _, i := range indexes {
			errs[i] = fmt.Errorf("couldn't put a dead letter of topic %s: %w", topic, err)
		}
		return
	}
	batch := make([]queue.Message, len(indexes))
	for k, i := range indexes {
		batch[k] = ms[i]
	}
	for k, err := range sink.Put(ctx, batch) {
		errs[indexes[k]] = err
	}
}

// topicOf reads x-flushline-source: source, strand ("logs[3]") and position.
func (l *Letters) topicOf(m *queue.Message) string {
	from, _ := m.Header(queue.HeaderSource)
	if fields := strings.Fields(from); len(fields) == 3 {
		if topic, _, ok := strings.Cut(fields[1], "["); ok {
			return topic
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// openCompanion creates or verifies one companion and opens it.
func openCompanion(ctx context.Context, client *wire.Client, cfg *Config, topic string) (*Sink, error) {
	if err := ensureCompanion(ctx, client, cfg, topic); err != nil {
		return nil, err
	}
	name := deadLetterTopic(topic, cfg.Group)
	s := newSink(client, name)
	s.cuts = true
	if err := s.openNew(ctx); err != nil {
		return nil, fmt.Errorf("couldn't open the dead letter topic %s: %w", name, err)
	}
	if err := s.mayWrite(ctx); err != nil {
		return nil, fmt.Errorf("couldn't open the dead letter topic %s: %w; %s", name, err, otherWays(cfg, name))
	}
	return s, nil
}

func ensureCompanion(ctx context.Context, client *wire.Client, cfg *Config, topic string) error {
	name := deadLetterTopic(topic, cfg.Group)
	p := &planner{client: client, cfg: cfg}
	for pause := newPause(); ; {
		p.steps = nil
		if err := p.companion(ctx, topic); err != nil {
			return fmt.Errorf("couldn't verify the dead letter topic %s: %w", name, err)
		}
		step := &p.steps[0]
		err := step.Apply(ctx)
		if errors.Is(err, kafkago.TopicAlreadyExists) && pauseFor(ctx, pause.NextBackOff()) {
			continue // another pod was faster: look at what it made
		}
		if err != nil && step.Action == queue.Create {
			return fmt.Errorf("%w; %s", err, otherWays(cfg, name))
		}
		return err
	}
}

func otherWays(cfg *Config, name string) string {
	return fmt.Sprintf("let this user make and write it (%s), or run as a user who may: flushline setup -c FILE, or keep letters in files: dead_letter: {file: DIR}",
		grant(cfg, "Create,Describe,DescribeConfigs,Write", "topic", name))
}

// openNew is open for a topic that was made a moment ago: other brokers may not
// know it yet, and its leaders may not be chosen.
func (s *Sink) openNew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	for pause := newPause(); ; {
		err := s.open(ctx)
		if err == nil && !slices.Contains(s.facts.leaders, "") {
			return nil
		}
		if !pauseFor(ctx, pause.NextBackOff()) {
			return err // nil: letters go to the partitions that have a leader
		}
	}
}

// mayWrite sends an empty batch for a partition that does not exist: brokers look at
// rights first, and there is nothing they could store.
func (s *Sink) mayWrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	at := wire.TopicPartition{Topic: s.topic, Partition: int32(len(s.facts.leaders))}
	addr := s.facts.leaders[s.next(s.facts)]
	if addr == "" {
		return nil // nobody to ask
	}
	stored, err := s.client.Produce(ctx, addr, []wire.Batch{{TopicPartition: at}})
	if err == nil {
		err = stored[at].Err
	}
	if errors.Is(err, kafkago.TopicAuthorizationFailed) {
		return &wire.Error{Op: "produce to " + s.topic, Broker: addr, Err: kafkago.TopicAuthorizationFailed}
	}
	return nil
}

// limitFor is the max.message.bytes of a companion.
func limitFor(source int) int { return min(source+letterRoom, math.MaxInt32) }

// companionRows is stricter than sourceRows: nobody chose to lose letters, and this
// topic is ours.
func companionRows(d, source *described) []setting {
	const gone = "letters nobody has read would be deleted"
	policy, unclean := d.settings[cleanupPolicy], d.settings[uncleanElection]
	kept, knowsKept := d.number(retentionTime)
	bytes, knowsBytes := d.number(retentionBytes)
	limit, knowsLimit := d.limit()
	sourceLimit, _ := source.limit()
	need := limitFor(sourceLimit)
	inSync, knowsInSync := d.number(minInSyncReplicas)
	wanted, knowsWanted := source.number(minInSyncReplicas)
	wanted = min(wanted, int64(d.replicas))
	return []setting{
		{
			bad: d.settings != nil && policy != "delete", severity: queue.Error, field: cleanupPolicy, found: policy, wanted: "delete",
			why: "a letter would be removed when another has its key, and one without key refused", change: "delete",
		},
		{bad: knowsKept && kept >= 0, severity: queue.Error, field: retentionTime, found: strconv.FormatInt(kept, 10), wanted: "-1 (for ever)", why: gone, change: "-1"},
		{bad: knowsBytes && bytes >= 0, severity: queue.Error, field: retentionBytes, found: strconv.FormatInt(bytes, 10), wanted: "-1 (no limit)", why: gone, change: "-1"},
		{
			bad: knowsLimit && limit < need, severity: queue.Error, field: maxMessageBytes, found: strconv.Itoa(limit), wanted: strconv.Itoa(need),
			why: "the largest messages of the source, with the headers of a letter, would not fit", change: strconv.Itoa(need),
		},
		{
			bad: knowsInSync && inSync > int64(d.replicas), severity: queue.Error, field: minInSyncReplicas, found: strconv.FormatInt(inSync, 10),
			wanted: fmt.Sprintf("at most the replication factor (%d)", d.replicas), why: "no letter would ever be confirmed", change: strconv.FormatInt(max(wanted, 1), 10),
		},
		{
			bad: knowsInSync && knowsWanted && inSync < wanted, severity: queue.Warning, field: minInSyncReplicas, found: strconv.FormatInt(inSync, 10), wanted: strconv.FormatInt(wanted, 10),
			why: "letters survive less than the source's messages do", change: strconv.FormatInt(wanted, 10),
		},
		{
			bad: d.replicas < source.replicas, severity: queue.Warning, field: "replication factor", found: strconv.Itoa(d.replicas), wanted: strconv.Itoa(source.replicas),
			why: "letters survive less than the source's messages do", mend: "kafka-reassign-partitions.sh",
		},
		{
			bad: unclean == "true", severity: queue.Warning, field: uncleanElection, found: unclean, wanted: "false",
			why: "a replica that misses letters may become leader", change: "false",
		},
	}
}
