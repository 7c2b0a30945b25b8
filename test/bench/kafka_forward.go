//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/flushers"
	kafkaflusher "github.com/flushline/flushline/flushers/kafka"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/worker"
)

// forwardBound is how much CPU forwarding by the worker may cost against a bare loop
// that receives and produces.
const forwardBound = 1.3

// forwarding moves a topic to another one of the same broker: bytes as they came.
func forwarding(srv *kafkaServer, short bool) benchCase {
	l := load{"FORWARD", 10_000, 50_000, 50, 12} // every round stores it once more
	rounds := 4
	if short {
		rounds = 2
	}
	return benchCase{"forward, 50KB", func() (bool, error) {
		roles := []string{"kafka-forward-raw", "kafka-forward"}
		for i := range rounds { // before the load: leaders have found out that they lead when that is published
			for _, who := range roles {
				if err := srv.topic(fmt.Sprintf("%s-%s-%d-out", l.Stream, who, i), l.Partitions); err != nil {
					return false, err
				}
			}
		}
		if err := srv.publish(l); err != nil {
			return false, err
		}
		by := map[string][]usage{}
		for i := range rounds {
			for _, who := range roles {
				u, err := consume(srv, who, l, i)
				if err != nil {
					return false, err
				}
				by[who] = append(by[who], u)
			}
		}
		raw, forward := median(by["kafka-forward-raw"]), median(by["kafka-forward"])
		ratio := float64(forward.perMessage()) / float64(raw.perMessage())
		return say("forward, 50KB", ratio <= forwardBound, fmt.Sprintf("at most %.2f", forwardBound),
			"worker/raw %.2f (raw %.1f us, worker %.1f us a message; %d rounds; GCs %d and %d; peak RSS %d and %d MiB)",
			ratio, float64(raw.perMessage())/1e3, float64(forward.perMessage())/1e3, rounds, raw.GCs, forward.GCs, raw.PeakRSS>>10, forward.PeakRSS>>10)
	}}
}

// outTopic is where a round of forwarding goes.
func (env benchEnv) outTopic() string { return env.durable + "-out" }

// runKafkaForward is the product: source, lanes, the kafka flusher.
func runKafkaForward(env benchEnv) error {
	var brokers []any
	for _, b := range strings.Split(env.url, ",") {
		brokers = append(brokers, b)
	}
	options := option.FromAny(map[string]any{"brokers": brokers, "topic": env.outTopic()})
	k := kafkaflusher.Kind()
	fill := k.New
	if problems := option.Decode(options, fill()); option.Failed(problems) {
		return errors.New(problems[0].Text())
	}
	k.New = func() flushers.Flusher {
		f := fill()
		option.Decode(options, f) // as it went before
		return f
	}
	k = k.As(k.New())
	w, err := newWorker(k, nil)
	if err != nil {
		return err
	}
	return env.consumeKafka(w, 8192, func(st *worker.Status) bool {
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	})
}

// runKafkaForwardRaw is the rival: kafka-go's fetch, and a request that stores what it
// had, a batch a partition, all replicas in sync.
func runKafkaForwardRaw(env benchEnv) error {
	ctx := context.Background()
	out, err := wire.NewClient(wire.Config{Brokers: strings.Split(env.url, ","), ClientID: "raw"})
	if err != nil {
		return err
	}
	defer out.Close()
	cluster, err := out.Metadata(ctx, []string{env.outTopic()})
	if err != nil {
		return err
	}
	leader := cluster.Brokers[cluster.Topics[env.outTopic()].Partitions[0].Leader]
	addr := kafka.TCP(strings.Split(env.url, ",")...)
	client := &kafka.Client{Addr: addr, Transport: &kafka.Transport{MetadataTopics: []string{env.load.Stream}}}
	got := make([][]wire.Record, env.load.Partitions)
	raw := &kafkaRaw{env: env, client: client, next: make([]int64, env.load.Partitions)}
	raw.pass = func(partition int32, value []byte) {
		got[partition] = append(got[partition], wire.Record{Value: value})
	}
	for committed := time.Now(); raw.got < env.load.Messages; {
		if err := raw.fetch(addr); err != nil {
			return err
		}
		var batches []wire.Batch
		for p, records := range got {
			if len(records) > 0 {
				batches = append(batches, wire.Batch{TopicPartition: wire.TopicPartition{Topic: env.outTopic(), Partition: int32(p)}, Records: records})
			}
		}
		stored, err := out.Produce(ctx, leader.Addr(), batches)
		if err != nil {
			return err
		}
		for at, s := range stored {
			if s.Err != nil {
				return fmt.Errorf("%s: %w", at, s.Err)
			}
			got[at.Partition] = got[at.Partition][:0]
		}
		if time.Since(committed) > time.Second || raw.got == env.load.Messages {
			committed = time.Now()
			if err := raw.commit(); err != nil {
				return err
			}
		}
	}
	return nil
}
