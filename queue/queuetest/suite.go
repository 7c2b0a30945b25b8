package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// Queue is one fresh, empty queue with one strand.
type Queue interface {
	// Publish stores messages durably, in order.
	Publish(ctx context.Context, ms ...queue.Message) error
	// Source makes a consumer of the queue's one deployment. Asking again after Run
	// returned is a restart of the worker.
	Source() (queue.Source, error)
	// Pending is how many messages the queue holds that are not acknowledged.
	Pending(ctx context.Context) (int64, error)
}

// Harness says how a queue is tested.
type Harness struct {
	// Open makes a queue; cleaning up is t.Cleanup's business.
	Open func(t *testing.T) Queue

	// OpenBounded makes a queue whose strand ends with io.EOF after what was
	// published before Source. Nil: the queue cannot.
	OpenBounded func(t *testing.T) Queue

	// Lose takes the running strand away as the broker would (a recreated consumer,
	// a fenced member), so that it ends as Lost and the same Run serves it anew.
	// Nil: the queue cannot.
	Lose func(t *testing.T, q Queue)

	// Cursor says that all the queue keeps of a consumer is one position, as Kafka
	// does: while the strand runs, what is acknowledged above an unacknowledged
	// message counts as pending, and nobody counts deliveries.
	Cursor bool

	// Large is the value size of the largest message to try; 1 MiB.
	Large int

	// Patience bounds each wait; 30s.
	Patience time.Duration
}

// Run runs the suite, each test against a queue of its own.
func Run(t *testing.T, h Harness) {
	if h.Large == 0 {
		h.Large = 1 << 20
	}
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if open := tt.open(&h); open == nil {
				t.Skip("this queue cannot")
			} else {
				tt.run(newBench(t, &h, open(t)))
			}
		})
	}
}

type opener func(t *testing.T) Queue

func usual(h *Harness) opener   { return h.Open }
func bounded(h *Harness) opener { return h.OpenBounded }

func losing(h *Harness) opener {
	if h.Lose == nil {
		return nil
	}
	return h.Open
}

var tests = []struct {
	name string
	open func(*Harness) opener
	run  func(*bench)
}{
	{"every message is delivered", usual, everyMessageIsDelivered},
	{"value and headers arrive as they were published", usual, headersArrive},
	{"an origin is unique and survives redelivery", usual, originSurvives},
	{"an origin in the headers wins over the position", usual, originIsCarried},
	{"a fetch returns at most its room", usual, roomIsRespected},
	{"one message passes although it is larger than the room", usual, oversizePasses},
	{"a fetch waits for a message", usual, fetchWaits},
	{"a cancelled fetch loses nothing", usual, cancelLosesNothing},
	{"not fetching is the pause", usual, notFetchingIsThePause},
	{"a released message is delivered again by the next run", usual, releaseRedelivers},
	{"an acknowledged message never comes again", usual, ackIsFinal},
	{"acknowledgements may come in any order", usual, acksOutOfOrder},
	{"a second settlement changes nothing", usual, settleOnce},
	{"settlements may come from many goroutines", usual, concurrentSettlement},
	{"bytes come back with Free, not with Ack", usual, freeGivesBack},
	{"a source never takes more than the budget", usual, budgetIsRespected},
	{"an exhausted budget stops the flow until bytes come back", usual, exhaustedBudgetWaits},
	{"a large message arrives whole", usual, largeMessage},
	{"status never blocks", usual, statusNeverBlocks},
	{"status counts what is out", usual, statusCounts},
	{"a stop ends the strand with its cause", usual, stopEndsStrand},
	{"a lost strand settles nothing", losing, lostSettlesNothing},
	{"a bounded strand ends", bounded, boundedEnds},
}
