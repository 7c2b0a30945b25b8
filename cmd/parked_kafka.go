package cmd

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// park gives the worker the topics of parked records.
func (k *kafkaQueue) park(ctx context.Context, q *queues, client *wire.Client, log *zap.Logger) error {
	opt := kafka.Options{
		Window: k.cfg.Limits.Window, MaxMessage: int64(k.cfg.Limits.Message), MaxDecompressed: int64(k.cfg.Limits.Decompressed),
		Drain: k.cfg.Drain.Timeout, Name: "kafka", Log: log,
	}
	open := func(ctx context.Context) (queue.Parked, error) { return kafka.OpenParked(ctx, client, k.client, opt) }
	return q.park(ctx, k.cfg, log, open, func(ctx context.Context) (bool, error) {
		parked, err := open(ctx)
		if err != nil {
			return false, err
		}
		lanes, err := parked.Lanes(ctx)
		return len(lanes) > 0, err
	})
}

func (k *kafkaQueue) beside(ctx context.Context, q *queues, log *zap.Logger) error {
	client, err := kafka.Connect(k.client)
	if err != nil {
		return err
	}
	q.closing(client.Close)
	if lettersBeside(k.cfg) {
		letters, err := kafka.DeadLetters(ctx, client, k.client)
		if err != nil {
			return err
		}
		q.letters = letters
	}
	return k.park(ctx, q, client, log)
}

// parkedOpener opens the parked companions of a topic, once anything parks.
type parkedOpener struct{ late *lateParked }

func (o parkedOpener) Open(ctx context.Context, topic string) error {
	if p, ok := o.late.parked().(*kafka.Parked); ok {
		return p.Open(ctx, topic)
	}
	return nil
}

// kafkaDepot is what is parked in the topics of all flusher entries.
type kafkaDepot struct {
	client *wire.Client
	parked *kafka.Parked
}

var _ depot = (*kafkaDepot)(nil)

func (k *kafkaQueue) depot(ctx context.Context, log *zap.Logger) (depot, error) {
	client, err := kafka.Connect(k.client)
	if err != nil {
		return nil, err
	}
	parked, err := kafka.OpenParked(ctx, client, k.client, kafka.Options{Name: "kafka", Log: log})
	if err != nil {
		client.Close()
		return nil, advised(err)
	}
	return &kafkaDepot{client, parked}, nil
}

func (s *kafkaDepot) byKey() bool { return false }

func (s *kafkaDepot) close() { s.client.Close() }

func (s *kafkaDepot) lanes(ctx context.Context) ([]shelved, error) {
	lanes, err := s.parked.Lanes(ctx)
	all := make([]shelved, len(lanes))
	for i := range lanes {
		all[i].Backlog = lanes[i]
	}
	return all, err
}

func (s *kafkaDepot) drop(ctx context.Context, l *shelved) (int64, error) {
	_, number, _ := strings.Cut(strings.TrimSuffix(l.Place, "]"), "[")
	partition, err := strconv.ParseInt(number, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is no partition: %w", l.Place, err)
	}
	return s.parked.Drop(ctx, l.Lane, int32(partition))
}

func (s *kafkaDepot) move(ctx context.Context, l *shelved, to queue.Lane) (int64, error) {
	return s.parked.Move(ctx, l.Lane, to)
}
