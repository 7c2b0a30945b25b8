package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	// companionRoom is how much larger a record of a companion may be than the message
	// it keeps: our headers, and a LogGroupList around what was a group.
	companionRoom = 64 << 10

	// letterPartitions bounds the partitions of a dead letter topic: letters are few,
	// and one whose leader is away must not hold back all of them.
	letterPartitions = 3

	maxTopicName = 249
)

// companion is a topic that keeps something of one source topic for one group.
type companion struct {
	source, name string
	kind         string // "dead letter topic"
	records      string // what it keeps: "letters"
	record       string // one of them: "a letter"
	operations   string // what its user must be allowed
	otherwise    string // the option that does without it
	partitions   int    // at most; 0: as many as the source has
	compacted    bool   // a record replaces those with its key
	by           func(*queue.Message) []byte
}

func letterCompanion(topic, group string) companion {
	return companion{
		source: topic, name: LetterTopic(topic, group),
		kind: "dead letter topic", records: "letters", record: "a letter",
		operations: "Create,Describe,DescribeConfigs,Write",
		otherwise:  "keep letters in files: dead_letter: {file: DIR}", partitions: letterPartitions,
	}
}

// parkedCompanion has as many partitions as its source: its records are served by
// as many workers. Those of a lane lie in one of them.
func parkedCompanion(topic, group string, entry queue.Lane) companion {
	return companion{
		source: topic, name: topic + "." + group + parkedInfix + entry.Route + "." + entry.Flusher,
		kind: "parked topic", records: "parked records", record: "a parked record",
		operations: "Create,Describe,DescribeConfigs,Write,Read,Delete",
		otherwise:  "do without parking: when_blocked: wait in the route " + entry.Route,
		by:         bySubject,
	}
}

// CompanionNames are the topics that dead letters of a topic and records parked for a
// flusher entry go to. Nothing is asked: they need not be there.
func CompanionNames(topic, group string, entry queue.Lane) (letters, parked string) {
	return letterCompanion(topic, group).name, parkedCompanion(topic, group, entry).name
}

// shorter is what a name that is too long can do without.
func (c companion) shorter() string {
	if c.partitions > 0 {
		return "a shorter group"
	}
	return "a shorter group, route or flusher name"
}

// bySubject has the records of a lane lie in one partition.
func bySubject(m *queue.Message) []byte { return []byte(m.Subject) }

// parkedInfix stands between a group and the flusher entry that records are parked
// for.
const parkedInfix = ".parked."

// isCompanion says whether a name is that of a companion, of this group or of any
// other: <topic>.<group>.dlq, the .done beside it, <topic>.<group>.parked.<route>.<flusher>,
// or a job's <topic>.<group>.job.<job>. A pattern never matches them. Two groups whose patterns took each other's dead letters as
// sources would make companions of companions without end.
func isCompanion(topic string) bool {
	if _, _, ours := parseJobTopic(topic); ours {
		return true
	}
	before, ours := strings.CutSuffix(strings.TrimSuffix(topic, doneSuffix), ".dlq")
	if !ours {
		var target string
		if before, target, ours = strings.Cut(topic, ".parked."); !ours || !strings.Contains(target, ".") {
			return false
		}
	}
	name, group, ok := strings.Cut(before, ".")
	return ok && name != "" && group != ""
}

// sourceTopic reads x-flushline-source: source, strand ("logs[3]") and position.
func sourceTopic(m *queue.Message) (topic string, ok bool) {
	from, _ := m.Header(queue.HeaderSource)
	fields := strings.Fields(from)
	if len(fields) != 3 {
		return "", false
	}
	topic, _, ok = strings.Cut(fields[1], "[")
	return topic, ok
}

// putEach stores messages in the companions that nameOf says, side by side.
func putEach(ctx context.Context, ms []queue.Message, nameOf func(*queue.Message) string, open func(context.Context, string) (*Sink, error)) []error {
	places := map[string][]int{}
	for i := range ms {
		name := nameOf(&ms[i])
		places[name] = append(places[name], i)
	}
	errs := make([]error, len(ms))
	var wg sync.WaitGroup
	for name, indexes := range places {
		wg.Go(func() { putSome(ctx, name, indexes, ms, errs, open) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return errs
		}
	}
	return nil
}

// putSome stores those of ms that belong to one companion and writes only their
// errors.
func putSome(ctx context.Context, name string, indexes []int, ms []queue.Message, errs []error, open func(context.Context, string) (*Sink, error)) {
	sink, err := open(ctx, name)
	if err != nil {
		for _, i := range indexes {
			errs[i] = err
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

// openCompanion creates or verifies one companion and opens it.
func openCompanion(ctx context.Context, client *wire.Client, cfg *Config, c companion) (*Sink, error) {
	if err := c.ensure(ctx, client, cfg); err != nil {
		return nil, err
	}
	s := newSink(client, c.name)
	s.cuts, s.by = true, c.by
	if err := s.openNew(ctx); err != nil {
		return nil, fmt.Errorf("couldn't open the %s %s: %w", c.kind, c.name, err)
	}
	if err := s.mayWrite(ctx); err != nil {
		return nil, fmt.Errorf("couldn't open the %s %s: %w; %s", c.kind, c.name, err, c.otherWays(cfg))
	}
	return s, nil
}

func (c companion) ensure(ctx context.Context, client *wire.Client, cfg *Config) error {
	p := &planner{client: client, cfg: cfg}
	for pause := newPause(); ; {
		p.steps = nil
		if err := p.companion(ctx, c); err != nil {
			return fmt.Errorf("couldn't verify the %s %s: %w", c.kind, c.name, err)
		}
		step := &p.steps[0]
		err := step.Apply(ctx)
		if errors.Is(err, kafkago.TopicAlreadyExists) && pauseFor(ctx, pause.NextBackOff()) {
			continue // another pod was faster: look at what it made
		}
		if err != nil && step.Action == queue.Create {
			return fmt.Errorf("%w; %s", err, c.otherWays(cfg))
		}
		return err
	}
}

func (c companion) otherWays(cfg *Config) string {
	return fmt.Sprintf("let this user make and write it (%s), or run as a user who may: flushline setup -c FILE, or %s",
		grant(cfg, c.operations, "topic", c.name), c.otherwise)
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
			return err // nil: records go to the partitions that have a leader
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
func limitFor(source int) int { return min(source+companionRoom, math.MaxInt32) }
