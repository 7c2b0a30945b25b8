package nats_test

import (
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
)

func TestParkedConformance(t *testing.T) {
	t.Parallel()
	queuetest.RunParked(t, queuetest.ParkedHarness{Open: func(t *testing.T) queuetest.ParkedQueue {
		b := startBroker(t)
		q := &companions{broker: b, cfgs: [2]*nats.Config{b.config(), b.config()}}
		q.cfgs[1].Durable = "second"
		for _, cfg := range q.cfgs {
			if _, err := nats.Setup(t.Context(), b.connect(cfg), cfg, nats.SetupOptions{Parked: true}); err != nil {
				t.Fatal(err)
			}
		}
		return q
	}})
}

// companions are those of two durables of one stream.
type companions struct {
	*broker
	cfgs [2]*nats.Config
}

func (q *companions) of(second bool) *nats.Config {
	if second {
		return q.cfgs[1]
	}
	return q.cfgs[0]
}

func (q *companions) Open(second bool) (queue.Parked, error) {
	cfg := q.of(second)
	return nats.OpenParked(q.Context(), q.connect(cfg), cfg, cfg.List()[0], nats.Options{Name: "nats"})
}

func (q *companions) Deployment(second bool) string { return q.of(second).Durable }

func (q *companions) Place() string { return "nats LOGS/flushline" }
