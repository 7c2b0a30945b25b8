package memory_test

import (
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/queue/queuetest"
)

func TestParkedConformance(t *testing.T) {
	t.Parallel()
	queuetest.RunParked(t, queuetest.ParkedHarness{Open: func(*testing.T) queuetest.ParkedQueue {
		return &companions{memory.NewParked("one"), memory.NewParked("two")}
	}})
}

// companions are those of two deployments. A worker that comes later sees the same.
type companions struct{ first, second *memory.Parked }

func (c *companions) Open(second bool) (queue.Parked, error) {
	if second {
		return c.second, nil
	}
	return c.first, nil
}

func (c *companions) Deployment(second bool) string {
	if second {
		return "two"
	}
	return "one"
}

func (c *companions) Place() string { return "memory 0" }
