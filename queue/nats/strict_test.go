package nats_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

// With order: strict the consumer hands out one message at a time, however many pods
// there are: setup makes it so, and another setting is refused and mended both ways.
func TestAStrictConsumerHandsOutOneMessage(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	strict := *cfg
	strict.Strict = true
	pending := func(want int) {
		t.Helper()
		c, err := b.js(conn).Consumer(t.Context(), "LOGS", cfg.Durable)
		if err != nil || c.CachedInfo().Config.MaxAckPending != want {
			t.Fatalf("max_ack_pending is not %d: %v", want, err)
		}
	}
	b.setUp(conn, &strict)
	pending(1)
	if report, err := nats.Verify(t.Context(), conn, cfg.List()[0], &strict); err != nil || len(report.Findings) > 0 {
		t.Errorf("%v, %+v", err, report.Findings)
	}
	only(t, conn, cfg, "max_ack_pending", queue.Error)
	for _, way := range []struct {
		cfg  *nats.Config
		want int
	}{{cfg, 8192 * cfg.MaxPods}, {&strict, 1}} {
		if _, err := nats.Setup(t.Context(), conn, way.cfg, nats.SetupOptions{Update: true}); err != nil {
			t.Fatal(err)
		}
		pending(way.want)
	}
	config := jetstream.ConsumerConfig{
		Durable: cfg.Durable, FilterSubjects: cfg.Subjects, AckPolicy: jetstream.AckExplicitPolicy, AckWait: cfg.AckWait, MaxDeliver: -1, MaxAckPending: 2,
	}
	if _, err := b.js(conn).UpdateConsumer(t.Context(), "LOGS", config); err != nil {
		t.Fatal(err)
	}
	only(t, conn, &strict, "max_ack_pending", queue.Error)
}
