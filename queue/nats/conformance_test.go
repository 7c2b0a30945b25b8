package nats_test

import (
	"context"
	"fmt"
	"testing"

	natsgo "github.com/nats-io/nats.go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
	"github.com/flushline/flushline/test/natsbroker"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, queuetest.Harness{
		Open: func(t *testing.T) queuetest.Queue { return openQueue(t) },
		Lose: func(t *testing.T, q queuetest.Queue) {
			if err := q.(*testQueue).recreateConsumer(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
	})
}

// testQueue is the stream LOGS of a broker of its own with one consumer.
type testQueue struct {
	*broker
	cfg  *nats.Config
	conn *nats.Conn // of the test, beside the source's
	with nats.Options
}

func openQueue(t *testing.T, with ...func(*nats.Config)) *testQueue {
	t.Helper()
	b := startBroker(t)
	q := &testQueue{broker: b, cfg: b.config()}
	for _, f := range with {
		f(q.cfg)
	}
	q.conn = b.connect(q.cfg)
	b.setUp(q.conn, q.cfg)
	return q
}

func (q *testQueue) Publish(ctx context.Context, ms ...queue.Message) error {
	return natsbroker.Put(ctx, q.js(q.conn), len(ms), func(i int) *natsgo.Msg {
		m := natsgo.NewMsg("logs.shop.access")
		m.Data = ms[i].Value
		for _, h := range ms[i].Headers {
			m.Header[h.Key] = append(m.Header[h.Key], h.Value)
		}
		return m
	})
}

func (q *testQueue) Source() (queue.Source, error) {
	s, err := q.open()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (q *testQueue) open() (*nats.Source, error) {
	s, err := nats.Open(q.Context(), q.cfg, q.with)
	if err == nil {
		q.Cleanup(s.Close)
	}
	return s, err
}

func (q *testQueue) Pending(ctx context.Context) (int64, error) {
	c, err := q.js(q.conn).Consumer(ctx, q.cfg.Stream, q.cfg.Durable)
	if err != nil {
		return 0, fmt.Errorf("couldn't read the consumer: %w", err)
	}
	info := c.CachedInfo()
	return int64(info.NumPending) + int64(info.NumAckPending), nil
}

func (q *testQueue) recreateConsumer(ctx context.Context) error {
	js := q.js(q.conn)
	c, err := js.Consumer(ctx, q.cfg.Stream, q.cfg.Durable)
	if err != nil {
		return fmt.Errorf("couldn't read the consumer: %w", err)
	}
	config := c.CachedInfo().Config
	if err := js.DeleteConsumer(ctx, q.cfg.Stream, q.cfg.Durable); err != nil {
		return fmt.Errorf("couldn't delete the consumer: %w", err)
	}
	if _, err := js.CreateConsumer(ctx, q.cfg.Stream, config); err != nil {
		return fmt.Errorf("couldn't make the consumer anew: %w", err)
	}
	return nil
}
