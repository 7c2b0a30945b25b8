package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

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
	s, err := openCompanion(ctx, l.client, l.cfg, letterCompanion(topic, l.cfg.Group))
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
	return putEach(ctx, ms, l.topicOf, func(ctx context.Context, topic string) (*Sink, error) {
		s, err := l.sink(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("couldn't put a dead letter of topic %s: %w", topic, err)
		}
		return s, nil
	})
}

// topicOf is the topic that a letter came from, or the first one. What was parked comes
// from the topic beside which it lay.
func (l *Letters) topicOf(m *queue.Message) string {
	if topic, ok := sourceTopic(m); ok {
		beside, _, _ := strings.Cut(topic, "."+l.cfg.Group+".parked.")
		return beside
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
