package memory_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/queue/queuetest"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

// under makes a memory queue look like any other to the suite.
type under struct{ *memory.Queue }

func (u under) Publish(_ context.Context, ms ...queue.Message) error {
	u.Queue.Publish(ms...)
	return nil
}
func (u under) Source() (queue.Source, error)          { return u.Queue, nil }
func (u under) Pending(context.Context) (int64, error) { return u.Queue.Pending(), nil }
func open(cfg memory.Config) func(*testing.T) queuetest.Queue {
	return func(*testing.T) queuetest.Queue { return under{memory.New(cfg)} }
}

func TestConformance(t *testing.T) {
	queuetest.Run(t, queuetest.Harness{
		Open:        open(memory.Config{}),
		OpenBounded: open(memory.Config{Bounded: true}),
		Lose: func(_ *testing.T, q queuetest.Queue) {
			m := q.(under).Queue
			m.EndStrand(0, queue.Lost, time.Now())
			m.Assign(0)
		},
		Large: 8 << 20,
	})
}
