// Package blackhole is the flusher that throws everything away: to measure what
// the worker itself costs, and to drain a queue on purpose.
package blackhole

import (
	"context"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

const summary = "Throws everything away and says it is stored."

// Kind is the kind "blackhole". Its groups are decoded, as for a real
// destination.
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:          "blackhole",
		Summary:       summary,
		New:           func() flushers.Flusher { return &Flusher{} },
		Atomic:        true,
		NoRetain:      true,
		TestedAgainst: "itself",
		Docs:          docs(),
	}
}

// Flusher is one instance; its exported field is the option.
type Flusher struct {
	Delay time.Duration `option:"delay" min:"0s" help:"How long each Flush takes, to look like a destination. 0s costs nothing." example:"5ms"`

	runtime context.Context
}

// Init cannot fail.
func (f *Flusher) Init(c flushers.Context) error {
	f.runtime = c.GetRuntimeContext()
	return nil
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is always true.
func (f *Flusher) IsReady(string, string, int64) bool { return true }

// Flush forgets the groups.
func (f *Flusher) Flush(string, string, string, []*protocol.LogGroup) error {
	return f.wait(f.runtime)
}

// SetUrgent changes nothing.
func (f *Flusher) SetUrgent(bool) {}

// Stop has nothing to release.
func (f *Flusher) Stop() error { return nil }

func (f *Flusher) wait(ctx context.Context) error {
	if f.Delay <= 0 {
		return nil
	}
	t := time.NewTimer(f.Delay)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
