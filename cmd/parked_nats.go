package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

// park gives the worker the streams of parked records of all consumers.
func (n *natsClient) park(ctx context.Context, q *queues, cfg *configs.Config, opt nats.Options) error {
	return q.park(ctx, cfg, opt.Log, func(ctx context.Context) (queue.Parked, error) {
		var strands []string
		var boxes []queue.Parked
		for _, one := range n.cfg.List() {
			box, err := nats.OpenParked(ctx, n.conn, n.cfg, one, opt)
			if err != nil {
				return nil, err
			}
			strands, boxes = append(strands, strandName(one)), append(boxes, box)
		}
		return oneParked(strands, boxes), nil
	}, func(ctx context.Context) (bool, error) {
		lanes, err := (&natsDepot{natsClient: *n}).lanes(ctx)
		return len(lanes) > 0, err
	})
}

func (n *natsQueue) beside(ctx context.Context, q *queues, log *zap.Logger) error {
	conn, err := nats.Connect(ctx, n.client, log)
	if err != nil {
		return err
	}
	q.closing(conn.Close)
	open := &natsClient{n.client, conn}
	if err := open.letters(ctx, q, n.cfg); err != nil {
		return err
	}
	return open.park(ctx, q, n.cfg, nats.Options{
		Name: "nats", Log: log, Window: n.cfg.Limits.Window, MaxMessage: int64(n.cfg.Limits.Message),
	})
}

func (e *embeddedQueue) beside(ctx context.Context, q *queues, log *zap.Logger) error {
	return e.outside().beside(ctx, q, log)
}

// natsDepot is what is parked in the streams of all consumers.
type natsDepot struct{ natsClient }

var _ depot = (*natsDepot)(nil)

func (n *natsQueue) depot(ctx context.Context, log *zap.Logger) (depot, error) {
	conn, err := nats.Connect(ctx, n.client, log)
	if err != nil {
		return nil, err
	}
	return &natsDepot{natsClient{n.client, conn}}, nil
}

func (e *embeddedQueue) depot(ctx context.Context, log *zap.Logger) (depot, error) {
	d, err := e.outside().depot(ctx, log)
	if err != nil {
		return nil, e.asleep(err)
	}
	return d, nil
}

// asleep says that nobody serves the queue.
func (e *embeddedQueue) asleep(err error) error {
	return fmt.Errorf("%w: the embedded queue in %s is asked while its worker runs: start it with `flushline run -c FILE`", err, e.cfg.Source.Embedded.Dir)
}

// outside reaches the server of a running worker. One that does not run is not waited
// for.
func (e *embeddedQueue) outside() *natsQueue {
	client := embeddedClient(e.cfg.Source.Embedded)
	client.ConnectTimeout = workerPatience
	return &natsQueue{cfg: e.cfg, client: client}
}

const workerPatience = 5 * time.Second

func (s *natsDepot) byKey() bool { return true }

func (s *natsDepot) close() { s.conn.Close() }

func (s *natsDepot) lanes(ctx context.Context) ([]shelved, error) {
	var all []shelved
	for i, one := range s.cfg.List() {
		lanes, err := nats.ParkedLanes(ctx, s.conn, one)
		var missing *queue.MissingError
		if err != nil && !errors.As(err, &missing) {
			return nil, fmt.Errorf("couldn't see what is parked for %s: %w", strandName(one), err)
		}
		for k := range lanes {
			all = append(all, shelved{Backlog: lanes[k], box: i})
		}
	}
	return all, nil
}

func (s *natsDepot) drop(ctx context.Context, l *shelved) (int64, error) {
	return nats.DropParked(ctx, s.conn, s.cfg.List()[l.box], l.Lane)
}

func (s *natsDepot) move(ctx context.Context, l *shelved, to queue.Lane) (int64, error) {
	return nats.MoveParked(ctx, s.conn, s.cfg.List()[l.box], l.Lane, to)
}
