package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// setupPatience bounds one question or change; a cluster that elects a leader
// needs a few seconds.
const setupPatience = 10 * time.Second

// defaultMaxMessage is the limit of a topic that nobody configured: what is
// assumed when it may not be read.
const defaultMaxMessage = 1048588

// The settings of topics that we compare, as Apache Kafka names them.
const (
	cleanupPolicy     = "cleanup.policy"
	maxMessageBytes   = "max.message.bytes"
	minInSyncReplicas = "min.insync.replicas"
	retentionBytes    = "retention.bytes"
	retentionTime     = "retention.ms"
	uncleanElection   = "unclean.leader.election.enable"
)

// described is a topic as the brokers describe it.
type described struct {
	wire.Topic
	replicas int               // the smallest of its partitions
	settings map[string]string // nil: they may not be read
}

// describe asks for topics and their settings. One that does not exist, or may not
// be described, is not in the result's map: its error is in the cluster's.
func describe(ctx context.Context, client *wire.Client, names []string) (*wire.Cluster, map[string]*described, error) {
	ctx, cancel := context.WithTimeout(ctx, setupPatience)
	defer cancel()
	cluster, err := client.Metadata(ctx, names)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't ask for topics: %w", err)
	}
	all := map[string]*described{}
	for _, name := range names {
		t, ok := cluster.Topics[name]
		if !ok || t.Err != nil || len(t.Partitions) == 0 {
			continue
		}
		d := &described{Topic: t, replicas: len(t.Partitions[0].Replicas)}
		for _, p := range t.Partitions {
			d.replicas = min(d.replicas, len(p.Replicas))
		}
		all[name] = d
	}
	return cluster, all, readSettings(ctx, client, cluster, all)
}

// number is a setting that is one; ok is false if it may not be read.
func (d *described) number(name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(d.settings[name], 10, 64)
	return n, err == nil
}

func (d *described) limit() (limit int, known bool) {
	n, ok := d.number(maxMessageBytes)
	if !ok {
		return defaultMaxMessage, false
	}
	return int(n), true
}

// absent says why a topic is not in what describe found.
func absent(cluster *wire.Cluster, name string) error {
	err := cluster.Topics[name].Err
	if err == nil || errors.Is(err, kafkago.UnknownTopicOrPartition) {
		return &queue.MissingError{What: "topic", Name: name}
	}
	return fmt.Errorf("couldn't ask for topic %s: %w", name, err)
}

// topicFacts is what a sink has to know of its topic.
type topicFacts struct {
	leaders []string // addresses by partition; "" where nobody leads
	numbers []int    // 0 to the last partition
	limit   int      // largest batch
	assumed bool     // the limit may not be read and is the usual one
	asked   time.Time
}

func askTopic(ctx context.Context, client *wire.Client, name string) (*topicFacts, error) {
	cluster, found, err := describe(ctx, client, []string{name})
	if err != nil {
		return nil, err
	}
	d := found[name]
	if d == nil {
		return nil, absent(cluster, name)
	}
	facts := &topicFacts{asked: time.Now(), leaders: make([]string, len(d.Partitions)), numbers: make([]int, len(d.Partitions))}
	for i, p := range d.Partitions {
		facts.numbers[i] = i
		if b, ok := cluster.Brokers[p.Leader]; ok {
			facts.leaders[i] = b.Addr()
		}
	}
	limit, known := d.limit()
	facts.limit, facts.assumed = limit, !known
	return facts, nil
}

// factsAge is how long a sink believes what it knows while nothing fails: new
// partitions and a new limit are seen that late.
const factsAge = 5 * time.Minute

// current is what the sink knows, asked again now and then.
func (s *Sink) current(ctx context.Context) *topicFacts {
	if facts := s.known(); time.Since(facts.asked) < factsAge {
		return facts
	}
	s.refresh(ctx)
	return s.known()
}

func (s *Sink) known() *topicFacts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts
}

// refresh asks for the topic again. If that fails, what was known stays: the next
// attempt to store says what is wrong.
func (s *Sink) refresh(ctx context.Context) {
	facts, err := askTopic(ctx, s.client, s.topic)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = facts
}
