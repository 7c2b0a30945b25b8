// Package leaders keeps what the brokers last said of some topics, for readers that
// belong to no group: who leads which partition, and whether a topic is still the
// one it was.
package leaders

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// ErrNoLeader is about a partition that no broker leads at the moment.
var ErrNoLeader = errors.New("no broker leads it")

// askTimeout bounds one question to the brokers.
const askTimeout = 10 * time.Second

// Book answers from what is known, and asks the brokers when that is too old: one
// request at a time for all topics and everybody who waits. Its methods may be
// called from any goroutine.
type Book struct {
	client *wire.Client
	turn   chan struct{} // holds one while the brokers are asked

	mu      sync.Mutex
	topics  map[string]*Topic
	names   []string
	asked   time.Time // when the last answer was asked for
	doubted time.Time // what was asked for before may be wrong
	cluster wire.Cluster
}

// Topic is a topic as the brokers last described it.
type Topic struct {
	ID    ID        // zero: not known, as brokers before 2.8 have none
	Since time.Time // since when it has this id, as far as we saw
	Away  time.Time // since when the topic is not there; zero: it is
	Err   error     // why nothing else is known of it
	Asked time.Time // when the brokers were asked

	partitions map[int32]wire.Partition
}

// ID tells a topic from others of the same name.
type ID [16]byte

// String is the id in hexadecimal; "": it is not known.
func (id ID) String() string {
	if id == (ID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// NewBook makes a book that knows nothing yet.
func NewBook(client *wire.Client) *Book {
	return &Book{client: client, turn: make(chan struct{}, 1), topics: map[string]*Topic{}}
}

// Topic is what the brokers said of a topic at most so long ago.
func (b *Book) Topic(ctx context.Context, name string, age time.Duration) (Topic, error) {
	if err := b.know(ctx, name, time.Now().Add(-age)); err != nil {
		return Topic{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.topics[name], b.topics[name].Err
}

// Leader is the broker that leads a partition. The error is ErrNoLeader, a
// *queue.MissingError, or why the brokers could not be asked.
func (b *Book) Leader(ctx context.Context, at wire.TopicPartition) (wire.Broker, error) {
	if err := b.know(ctx, at.Topic, time.Time{}); err != nil {
		return wire.Broker{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[at.Topic]
	p, ok := t.partitions[at.Partition]
	switch {
	case t.Err != nil:
		return wire.Broker{}, t.Err
	case !ok:
		return wire.Broker{}, fmt.Errorf("couldn't find %s: %w", at, &queue.MissingError{What: "partition", Name: at.String()})
	}
	leader, ok := b.cluster.Brokers[p.Leader]
	if !ok {
		b.doubted = time.Now() // the next question may find one
		return wire.Broker{}, fmt.Errorf("couldn't read %s: %w", at, ErrNoLeader)
	}
	return leader, nil
}

// Broker is a broker of the cluster.
func (b *Book) Broker(id int32) (wire.Broker, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.cluster.Brokers[id]
	return found, ok
}

// Cluster is the cluster's id; empty before the first answer.
func (b *Book) Cluster() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cluster.ID
}

// Doubt says that what is known may be wrong: the brokers are asked again before the
// next answer.
func (b *Book) Doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.doubted = time.Now()
}

// know sees to it that the brokers were asked for a topic at a time or later.
func (b *Book) know(ctx context.Context, name string, since time.Time) error {
	if b.knows(name, since) {
		return nil
	}
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return fmt.Errorf("couldn't ask who leads %s: %w", name, context.Cause(ctx))
	}
	if b.knows(name, since) { // somebody has just asked
		return nil
	}
	return b.ask(ctx, name)
}

func (b *Book) knows(name string, since time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	return t != nil && !t.Asked.IsZero() && !b.asked.Before(since) && b.asked.After(b.doubted)
}

// ask learns what the brokers say of all topics that were ever asked for.
func (b *Book) ask(ctx context.Context, name string) error {
	b.mu.Lock()
	if b.topics[name] == nil {
		b.topics[name] = new(Topic)
		b.names = append(b.names, name)
	}
	names := b.names
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	asked := time.Now()
	c, err := b.client.Metadata(ctx, names)
	if err != nil {
		return fmt.Errorf("couldn't ask who leads %s: %w", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked, b.cluster = asked, *c
	for _, name := range names {
		b.topics[name].learn(name, c.Topics[name], asked)
	}
	return nil
}

func (t *Topic) learn(name string, said wire.Topic, asked time.Time) {
	t.Asked, t.Err = asked, nil
	if said.Err != nil || len(said.Partitions) == 0 {
		t.partitions = nil
		if said.Err != nil && !errors.Is(said.Err, kafkago.UnknownTopicOrPartition) {
			t.Err = fmt.Errorf("couldn't ask for topic %s: %w", name, said.Err)
			return
		}
		t.Err = &queue.MissingError{What: "topic", Name: name}
		if t.Away.IsZero() {
			t.Away = asked
		}
		return
	}
	t.Away = time.Time{}
	if id := ID(said.ID); id != t.ID {
		t.ID, t.Since = id, asked
	}
	t.partitions = make(map[int32]wire.Partition, len(said.Partitions))
	for _, p := range said.Partitions {
		t.partitions[p.ID] = p
	}
}
