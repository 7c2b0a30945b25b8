//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	kafkaqueue "github.com/flushline/flushline/queue/kafka"
)

// stalls is the longest silence of a partition while something happened to the
// group: of those that stayed with their member, and of those that moved.
type stalls struct {
	Unmoved, Moved time.Duration
	Rebalances     int64
}

// member is one consumer of a group: ours, or kafka-go's ConsumerGroup.
type member interface {
	stop()
	rebalances() int64
}

// runKafkaRebalance joins two members, lets a third join while the first needs
// four seconds to drain, or waits for what the parent does to a broker meanwhile,
// and prints the stalls.
func runKafkaRebalance() error {
	env, err := readEnv()
	if err != nil {
		return err
	}
	watch, err := time.ParseDuration(os.Getenv("BENCH_WATCH"))
	if err != nil {
		return err
	}
	drain, err := time.ParseDuration(os.Getenv("BENCH_DRAIN"))
	if err != nil {
		return err
	}
	join := joinOurs
	if os.Getenv("BENCH_MODE") == "group" {
		join = joinConsumerGroup
	}
	book := newArrivals()
	var members []member
	defer func() {
		for _, m := range members {
			m.stop()
		}
	}()
	for name, d := range map[string]time.Duration{"first": drain, "second": 0} {
		m, err := join(env, name, d, book)
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	if err := book.awaitAll(env.load.Partitions, time.Minute); err != nil {
		return err
	}
	time.Sleep(3 * time.Second) // the round in which the two settle is not measured
	before := book.begin()
	var rounds int64
	for _, m := range members {
		rounds -= m.rebalances()
	}
	fmt.Println("settled") // the parent breaks something now, and says what not to judge
	var ignore []int32
	if err := json.NewDecoder(os.Stdin).Decode(&ignore); err != nil {
		return err
	}
	for _, p := range ignore {
		delete(before, p)
	}
	if drain > 0 {
		m, err := join(env, "third", 0, book)
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	time.Sleep(watch)
	for _, m := range members[:2] {
		rounds += m.rebalances()
	}
	return json.NewEncoder(os.Stdout).Encode(book.result(before, rounds))
}

// arrivals notes when partitions deliver, and to whom.
type arrivals struct {
	mu      sync.Mutex
	last    map[int32]time.Time
	owner   map[int32]string
	longest map[int32]time.Duration
}

func newArrivals() *arrivals {
	return &arrivals{last: map[int32]time.Time{}, owner: map[int32]string{}, longest: map[int32]time.Duration{}}
}

func (a *arrivals) note(partition int32, member string) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.last[partition]; ok {
		a.longest[partition] = max(a.longest[partition], now.Sub(last))
	}
	a.last[partition], a.owner[partition] = now, member
}

func (a *arrivals) awaitAll(partitions int, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		a.mu.Lock()
		n := len(a.last)
		a.mu.Unlock()
		if n == partitions {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of %d partitions deliver", n, partitions)
		}
	}
}

// begin forgets the silences so far and says who has which partition.
func (a *arrivals) begin() map[int32]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.longest)
	owners := map[int32]string{}
	for p, o := range a.owner {
		owners[p] = o
	}
	return owners
}

func (a *arrivals) result(before map[int32]string, rounds int64) stalls {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := stalls{Rebalances: rounds}
	for p, owner := range before {
		silence := max(a.longest[p], time.Since(a.last[p]))
		if a.owner[p] == owner {
			s.Unmoved = max(s.Unmoved, silence)
		} else {
			s.Moved = max(s.Moved, silence)
		}
	}
	return s
}

// ours is a member that serves strands without a worker: it acknowledges at once,
// and takes its time to drain what is revoked.
type ours struct {
	name   string
	drain  time.Duration
	book   *arrivals
	source *kafkaqueue.Source
	cancel context.CancelCauseFunc
	done   chan error
}

func joinOurs(env benchEnv, name string, drain time.Duration, book *arrivals) (member, error) {
	cfg := env.kafkaConfig()
	cfg.Session, cfg.Rebalance, cfg.Heartbeat = 12*time.Second, 30*time.Second, time.Second
	src, err := kafkaqueue.Open(context.Background(), cfg, kafkaqueue.Options{Drain: 20 * time.Second, Log: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	m := &ours{name: name, drain: drain, book: book, source: src, cancel: cancel, done: make(chan error, 1)}
	go func() { m.done <- src.Run(ctx, m) }()
	return m, nil
}

func (m *ours) stop() {
	m.drain = 0
	m.cancel(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
	if err := <-m.done; err != nil {
		fmt.Fprintf(os.Stderr, "member %s: %v\n", m.name, err)
	}
	m.source.Close()
}

func (m *ours) rebalances() int64 { return m.source.Totals().Rebalances }

func (m *ours) Take(_ context.Context, _, most int64) (int64, error) { return most, nil }
func (m *ours) Give(int64)                                           {}
func (m *ours) Charge(int64)                                         {}

func (m *ours) Serve(ctx context.Context, s queue.Strand) error {
	for {
		ds, err := s.Fetch(ctx, queue.Room{Messages: 1000, Bytes: 1 << 20})
		for _, d := range ds {
			m.book.note(d.Message().Partition, m.name)
			d.Ack()
			d.Free()
		}
		if err != nil || ctx.Err() != nil {
			break
		}
	}
	var end *queue.End
	if errors.As(context.Cause(ctx), &end) && end.Reason == queue.Revoked {
		time.Sleep(m.drain)
	}
	return nil
}

// eager is a member by kafka-go's ConsumerGroup, with a reader a partition.
type eager struct {
	name   string
	drain  time.Duration
	book   *arrivals
	env    benchEnv
	group  *kafka.ConsumerGroup
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	rounds int64
}

func joinConsumerGroup(env benchEnv, name string, drain time.Duration, book *arrivals) (member, error) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: env.durable, Brokers: strings.Split(env.url, ","), Topics: []string{env.load.Stream},
		SessionTimeout: 12 * time.Second, RebalanceTimeout: 30 * time.Second, HeartbeatInterval: time.Second,
		JoinGroupBackoff: 200 * time.Millisecond, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &eager{name: name, drain: drain, book: book, env: env, group: group, cancel: cancel, done: make(chan struct{})}
	go m.run(ctx)
	return m, nil
}

func (m *eager) stop() {
	m.cancel()
	_ = m.group.Close() // its member ends with the process
	<-m.done
}

func (m *eager) rebalances() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(m.rounds-1, 0)
}

func (m *eager) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		gen, err := m.group.Next(ctx)
		if err != nil {
			continue
		}
		m.mu.Lock()
		m.rounds++
		m.mu.Unlock()
		for _, a := range gen.Assignments[m.env.load.Stream] {
			gen.Start(func(ctx context.Context) { m.consume(ctx, gen, a) })
		}
	}
}

func (m *eager) consume(ctx context.Context, gen *kafka.Generation, a kafka.PartitionAssignment) {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: strings.Split(m.env.url, ","), Topic: m.env.load.Stream, Partition: a.ID, MaxWait: 500 * time.Millisecond,
		ReadBackoffMin: 10 * time.Millisecond, ReadBackoffMax: 100 * time.Millisecond,
	})
	defer func() { _ = r.Close() }()
	next := a.Offset
	if err := r.SetOffset(next); err != nil {
		return
	}
	commit := func() {
		_ = gen.CommitOffsets(map[string]map[int]int64{m.env.load.Stream: {a.ID: next}}) // keeps the member alive, too
	}
	for {
		msg, err := r.ReadMessage(ctx)
		if err != nil {
			break
		}
		next = msg.Offset + 1
		m.book.note(int32(a.ID), m.name)
	}
	for end := time.Now().Add(m.drain); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		commit()
	}
	commit()
}
