package e2e

import (
	"context"
	"testing"

	"github.com/flushline/flushline/internal/ledger"
)

// Queue is where a run publishes and its workers consume. It lives through the run: it
// is the workers that die. One goroutine uses it at a time, but for what Send returns.
type Queue interface {
	// Source is the block `source` of the workers' configuration.
	Source() map[string]any
	// Send publishes groups of a load; it may be called from several goroutines.
	Send(load *ledger.Load) ledger.Send
	// Ask says how far the queue was consumed.
	Ask(ctx context.Context) (Standing, error)
	// Settled is Ask once the queue has taken in what processes that have ended sent to
	// it: no acknowledgement is under way any more.
	Settled(t testing.TB) Standing
	// Letters is how many groups became dead letters.
	Letters(ctx context.Context) (int, error)
}

// Standing is how far a queue was consumed, in messages.
type Standing struct {
	Waiting int  // not acknowledged, and on NATS not delivered either
	Held    int  // delivered and not acknowledged, where the queue knows it
	Acked   int  // so far
	Drained bool // all are acknowledged
}

// Plan is the size of a run.
type Plan struct {
	// Queue starts a queue that holds nothing. Nil: a nats-server in this process.
	Queue func(t testing.TB) Queue
	// Groups are published at least, whatever happens to workers meanwhile; 0: what is
	// published while each thing that can happen happens once.
	Groups int
	// Rate is how many groups are published a second; 0: 300.
	Rate int
	// Logs are in a group at most; 0: 3.
	Logs int
	// Window is what a worker may hold, in messages; 0: 200.
	Window int
}

// or fills in what the plan leaves open.
func (p Plan) or(queue func(testing.TB) Queue) Plan {
	if p.Queue == nil {
		p.Queue = queue
	}
	if p.Rate == 0 {
		p.Rate = 300
	}
	if p.Logs == 0 {
		p.Logs = 3
	}
	if p.Window == 0 {
		p.Window = 200
	}
	return p
}
