//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	kafkaprotocol "github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/flushline/flushline/protocol"
)

// runKafkaRaw is the rival on Kafka: kafka-go's own multi-partition fetch, pass one,
// pass two into reused memory, and a commit a second.
func runKafkaRaw(env benchEnv) error {
	addr := kafka.TCP(strings.Split(env.url, ",")...)
	client := &kafka.Client{Addr: addr, Transport: &kafka.Transport{MetadataTopics: []string{env.load.Stream}}}
	raw := &kafkaRaw{env: env, client: client, next: make([]int64, env.load.Partitions)}
	for committed := time.Now(); raw.got < env.load.Messages; {
		if err := raw.fetch(addr); err != nil {
			return err
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

type kafkaRaw struct {
	env    benchEnv
	client *kafka.Client
	next   []int64 // by partition
	got    int
	turn   int
	groups []protocol.Group
	slabs  protocol.Slabs
	lim    protocol.Limits

	pass func(partition int32, value []byte) // instead of decoding, if it is not nil
}

// fetch asks for all partitions, beginning with another one each time.
func (r *kafkaRaw) fetch(addr interface {
	Network() string
	String() string
},
) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	topic := fetch.RequestTopic{Topic: r.env.load.Stream}
	for i := range r.next {
		p := (i + r.turn) % len(r.next)
		topic.Partitions = append(topic.Partitions, fetch.RequestPartition{
			Partition: int32(p), CurrentLeaderEpoch: -1, FetchOffset: r.next[p], PartitionMaxBytes: 1 << 20,
		})
	}
	r.turn++
	res, err := r.client.Transport.RoundTrip(ctx, addr, &fetch.Request{
		ReplicaID: -1, SessionEpoch: -1, MaxWaitTime: 500, MinBytes: 1, MaxBytes: 8 << 20, IsolationLevel: 1,
		Topics: []fetch.RequestTopic{topic},
	})
	if err != nil {
		return err
	}
	for _, t := range res.(*fetch.Response).Topics {
		for i := range t.Partitions {
			if err := r.partition(&t.Partitions[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *kafkaRaw) partition(p *fetch.ResponsePartition) error {
	if p.ErrorCode != 0 {
		return kafka.Error(p.ErrorCode)
	}
	if p.RecordSet.Records == nil {
		return nil
	}
	for {
		rec, err := p.RecordSet.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if rec.Offset < r.next[p.Partition] {
			continue
		}
		value, err := kafkaprotocol.ReadAll(rec.Value)
		if err != nil {
			return err
		}
		if r.pass != nil {
			r.pass(p.Partition, value)
		} else if err := r.decode(value); err != nil {
			return fmt.Errorf("offset %d: %w", rec.Offset, err)
		}
		rec.Value.Close()
		r.next[p.Partition] = rec.Offset + 1
		r.got++
	}
}

func (r *kafkaRaw) decode(value []byte) error {
	_, gs, err := protocol.Scan(value, protocol.FormatLogGroup, protocol.EncodingNone, &r.lim, r.groups[:0])
	if err != nil {
		return err
	}
	r.groups = gs
	r.slabs.Reset()
	for i := range gs {
		r.slabs.Decode(&gs[i])
	}
	return nil
}

func (r *kafkaRaw) commit() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var offsets []kafka.OffsetCommit
	for p, next := range r.next {
		offsets = append(offsets, kafka.OffsetCommit{Partition: p, Offset: next})
	}
	_, err := r.client.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: r.env.durable, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{r.env.load.Stream: offsets},
	})
	return err
}
