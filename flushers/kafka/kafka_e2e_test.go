package kafka_test

import (
	"testing"

	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/flushertest/e2e"
	"github.com/flushline/flushline/flushers/kafka"
)

func TestKilledWorkersLoseNothing(t *testing.T) {
	t.Parallel()
	broker := &proxied{t: t}
	e2e.Run(t, kafka.Kind(), flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
		to, _ := broker.target(tb, 3, nil)
		return to
	}})
}
