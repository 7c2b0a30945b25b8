//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/test/kafkabroker"
)

// kafkaServer is an Apache Kafka, started when it is first needed.
type kafkaServer struct {
	nodes   int
	dir     string
	cluster *kafkabroker.Cluster
}

func (s *kafkaServer) start() error {
	if s.cluster != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "flushline-bench")
	if err != nil {
		return err
	}
	s.dir = dir
	s.cluster, err = kafkabroker.Run(context.Background(), dir, kafkabroker.Options{Nodes: s.nodes})
	return err
}

func (s *kafkaServer) stop() {
	if s.cluster != nil {
		s.cluster.Close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // a temporary directory left over is nobody's loss
	}
}

func (s *kafkaServer) address() string             { return strings.Join(s.cluster.Bootstrap(), ",") }
func (s *kafkaServer) roles() (raw, worker string) { return "kafka-raw", "kafka-worker" }

// client writes to the partition that a record names.
func (s *kafkaServer) client() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(s.cluster.Bootstrap()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RequiredAcks(kgo.AllISRAcks()))
}

// topic makes a topic of one replica; one that exists is an error. With more
// replicas the death of a follower would hold back what consumers may see until
// the brokers notice it, which no client can change.
func (s *kafkaServer) topic(name string, partitions int) error {
	if err := s.start(); err != nil {
		return err
	}
	cl, err := s.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 30_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), 1
	q.Topics = append(q.Topics, t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := q.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	if code := r.Topics[0].ErrorCode; code != 0 {
		return fmt.Errorf("couldn't create topic %s: error %d", name, code)
	}
	return nil
}

// publish fills a topic, once, all partitions alike.
func (s *kafkaServer) publish(l load) error {
	if err := s.topic(l.Stream, l.Partitions); err != nil {
		return err
	}
	return s.fill(l, func(i int) int32 { return int32(i % l.Partitions) })
}

func (s *kafkaServer) fill(l load, partition func(i int) int32) error {
	cl, err := s.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	body, err := sample(l.Bytes).Marshal()
	if err != nil {
		return err
	}
	var failed error // promises are called one at a time
	for i := range l.Messages {
		cl.Produce(context.Background(), record(l, body, i, partition(i)), func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// record is message i of a load.
func record(l load, body []byte, i int, partition int32) *kgo.Record {
	return &kgo.Record{
		Topic: l.Stream, Partition: partition, Value: body,
		Headers: []kgo.RecordHeader{
			{Key: "x-log-project", Value: []byte("bench")},
			{Key: "x-log-logstore", Value: fmt.Appendf(nil, "store-%d", i%l.Keys)},
			{Key: "x-log-config", Value: []byte("c")},
		},
	}
}

// trickle gives each partition a record every few milliseconds until ctx ends.
func (s *kafkaServer) trickle(ctx context.Context, l load) error {
	cl, err := s.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	body, err := sample(l.Bytes).Marshal()
	if err != nil {
		return err
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
			for p := range l.Partitions {
				// What fails while a broker is away is tried again by the client.
				cl.Produce(ctx, &kgo.Record{Topic: l.Stream, Partition: int32(p), Value: body}, nil)
			}
		}
	}
}
