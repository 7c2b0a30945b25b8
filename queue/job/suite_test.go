package job_test

import (
	"context"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/queuetest"
)

// shelved makes a job over a tape look like any other queue to the suite: asking for
// its source again is a restart that finds the checkpoint.
type shelved struct {
	tape    *tape
	lease   *memLease
	bounded bool
	src     *job.Source
	n       int64
}

func (q *shelved) Publish(_ context.Context, ms ...queue.Message) error {
	for _, m := range ms {
		q.tape.add("slice", cell{value: string(m.Value), headers: m.Headers})
		q.n++
	}
	return nil
}

func (q *shelved) Source() (queue.Source, error) {
	slice := job.Slice{Name: "slice", To: -1}
	if q.bounded {
		slice = q.tape.slice("slice")
	}
	q.lease = newLease(q.lease.Checkpoint())
	var err error
	q.src, err = job.New(configOf(q.tape, q.lease, slice))
	return q.src, err
}

func (q *shelved) Pending(context.Context) (int64, error) {
	return q.n - q.src.Report().Messages, nil
}

func shelve(bounded bool) func(*testing.T) queuetest.Queue {
	return func(*testing.T) queuetest.Queue {
		in := newTape()
		in.tails = !bounded
		in.batch = func(string, int64) int { return 1 << 20 }
		return &shelved{tape: in, lease: newLease(nil), bounded: bounded}
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, queuetest.Harness{Open: shelve(false), OpenBounded: shelve(true), Cursor: true, Large: 8 << 20})
}
