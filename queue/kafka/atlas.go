package kafka

import (
	"encoding/base64"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// atlas is what the brokers last said of the topics that we read: who leads what,
// and how many partitions there are. It asks nobody.
type atlas struct {
	topics  []string       // configured; nil with a pattern
	pattern *regexp.Regexp // nil with topics
	ours    func(topic string) bool

	mu      sync.Mutex
	at      time.Time // when the last answer was asked for
	brokers map[int32]wire.Broker
	parts   map[wire.TopicPartition]wire.Partition
	counts  map[string]int32       // partitions of each topic; also of one that is away for a moment
	away    map[string]absentTopic // topics that were there, or are configured, and are not there
	epochs  map[wire.TopicPartition]int32
	ids     map[string][]topicID // of each topic, the present one last
}

// topicID is what tells a topic from others of the same name; zero: not known, as
// brokers before 2.8 have none.
type topicID [16]byte

// String is the id as Kafka's own tools show it.
func (id topicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// absentTopic says since when a topic is away, and what the brokers say.
type absentTopic struct {
	since time.Time
	err   error
}

// goneAfter is how long a topic has to be away before it counts as deleted: a
// broker that starts may not know all topics yet.
const goneAfter = 5 * time.Second

func newAtlas(topics []string, pattern *regexp.Regexp, companions func(string) bool) *atlas {
	return &atlas{
		topics: topics, pattern: pattern, ours: companions,
		brokers: map[int32]wire.Broker{}, parts: map[wire.TopicPartition]wire.Partition{},
		counts: map[string]int32{}, away: map[string]absentTopic{}, epochs: map[wire.TopicPartition]int32{},
		ids: map[string][]topicID{},
	}
}

// change is what an answer changed.
type change struct {
	topics   bool                  // the set of topics to subscribe to
	counts   bool                  // partitions of them
	vanished []string              // topics that are away since now
	returned []string              // topics that are back
	reborn   []wire.TopicPartition // partitions whose leader epoch went back
}

// learn takes over an answer to what was asked at a time.
func (a *atlas) learn(c *wire.Cluster, now time.Time) (ch change) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.brokers = now, c.Brokers
	before, counts := a.subscriptionLocked(), maps.Clone(a.counts)
	seen := map[string]bool{}
	for name, t := range c.Topics {
		if !a.wantsLocked(&t) {
			continue
		}
		if t.Err != nil || len(t.Partitions) == 0 {
			a.missLocked(name, t.Err, now, &ch)
			seen[name] = true
			continue
		}
		seen[name] = true
		if !a.identifyLocked(name, t.ID) {
			continue
		}
		if _, was := a.away[name]; was {
			delete(a.away, name)
			ch.returned = append(ch.returned, name)
		}
		a.counts[name] = int32(len(t.Partitions))
		for _, p := range t.Partitions {
			a.partitionLocked(name, p, &ch)
		}
	}
	for _, name := range a.expectedLocked() {
		if !seen[name] {
			a.missLocked(name, nil, now, &ch)
		}
	}
	ch.topics = !slices.Equal(before, a.subscriptionLocked())
	ch.counts = !maps.Equal(counts, a.counts)
	return ch
}

// identifyLocked takes in the id of a topic. It is false when the topic had another
// one after this: the broker that answered is late, and what it says is about a
// topic that is no more.
func (a *atlas) identifyLocked(name string, id topicID) bool {
	known := a.ids[name]
	at := slices.Index(known, id)
	if at < 0 && id != (topicID{}) {
		a.ids[name] = append(known, id)
	}
	return at < 0 || at == len(known)-1
}

// asked is when brokers were asked what the atlas knows.
func (a *atlas) asked() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}

// id is that of a topic, as far as it is known.
func (a *atlas) id(name string) topicID {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.ids[name]
	if len(known) == 0 {
		return topicID{}
	}
	return known[len(known)-1]
}

func (a *atlas) partitionLocked(topic string, p wire.Partition, ch *change) {
	at := wire.TopicPartition{Topic: topic, Partition: p.ID}
	a.parts[at] = p
	epoch, known := a.epochs[at]
	if known && p.LeaderEpoch >= 0 && p.LeaderEpoch < epoch {
		ch.reborn = append(ch.reborn, at)
	}
	if p.LeaderEpoch >= 0 {
		a.epochs[at] = p.LeaderEpoch
	}
}

// wantsLocked says whether a topic of an answer is one to read.
func (a *atlas) wantsLocked(t *wire.Topic) bool {
	if a.pattern == nil {
		return slices.Contains(a.topics, t.Name)
	}
	return !t.Internal && !a.ours(t.Name) && a.pattern.MatchString(t.Name)
}

// expectedLocked are the topics that ought to be in an answer.
func (a *atlas) expectedLocked() []string {
	if a.pattern == nil {
		return a.topics
	}
	return slices.Sorted(maps.Keys(a.counts))
}

func (a *atlas) missLocked(name string, err error, now time.Time, ch *change) {
	was, known := a.away[name]
	if !known {
		was.since = now
		if a.counts[name] > 0 {
			ch.vanished = append(ch.vanished, name)
		}
	}
	was.err = err
	a.away[name] = was
	for at := range a.parts {
		if at.Topic == name {
			delete(a.parts, at)
		}
	}
	deleted := err == nil || errors.Is(err, kafkago.UnknownTopicOrPartition)
	if deleted && now.Sub(was.since) >= goneAfter {
		delete(a.counts, name)
		delete(a.ids, name)
		if a.pattern != nil {
			delete(a.away, name)
		}
		maps.DeleteFunc(a.epochs, func(at wire.TopicPartition, _ int32) bool { return at.Topic == name })
	}
}

// subscription is what the group is told we read.
func (a *atlas) subscription() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.subscriptionLocked()
}

func (a *atlas) subscriptionLocked() []string {
	if a.pattern == nil {
		return a.topics
	}
	return slices.Sorted(maps.Keys(a.counts))
}

// leads is the broker that leads a partition.
func (a *atlas) leads(at wire.TopicPartition) (wire.Broker, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.parts[at]
	if !ok || p.Leader < 0 {
		return wire.Broker{}, false
	}
	b, ok := a.brokers[p.Leader]
	return b, ok
}

func (a *atlas) broker(id int32) (wire.Broker, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, ok := a.brokers[id]
	return b, ok
}

// missing are the topics to read that are not there.
func (a *atlas) missing() map[string]absentTopic {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.away)
}

// ask is what to ask the brokers for: nil is every topic.
func (a *atlas) ask() []string {
	if a.pattern == nil {
		return a.topics
	}
	return nil
}
