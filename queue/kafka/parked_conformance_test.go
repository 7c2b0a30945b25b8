package kafka_test

import (
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/queuetest"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestParkedConformance(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	queuetest.RunParked(t, queuetest.ParkedHarness{ByPartition: true, Open: func(t *testing.T) queuetest.ParkedQueue {
		topic := fresh("parked-suite")
		b.CreateTopic(t, topic, 1, 1, nil)
		q := &companions{T: t, cfgs: [2]*kafka.Config{quick(reading(b.Bootstrap(), topic)), quick(reading(b.Bootstrap(), topic))}}
		for _, cfg := range q.cfgs {
			cfg.Group = fresh("g")
		}
		return q
	}})
}

// companions are those of two groups that read one topic.
type companions struct {
	*testing.T
	cfgs [2]*kafka.Config
}

func (q *companions) of(second bool) *kafka.Config {
	if second {
		return q.cfgs[1]
	}
	return q.cfgs[0]
}

func (q *companions) Open(second bool) (queue.Parked, error) {
	cfg := q.of(second)
	p, err := kafka.OpenParked(q.Context(), connect(q.T, cfg), cfg, kafka.Options{})
	if err == nil {
		err = p.Prepare(q.Context(), []queue.Lane{{Route: "shop", Flusher: "es"}})
	}
	return p, err
}

func (q *companions) Deployment(second bool) string { return q.of(second).Group }

func (q *companions) Place() string { return "kafka " + q.cfgs[0].Topics[0] + "[0]" }
