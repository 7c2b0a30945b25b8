package wire

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// turns are the slots of one broker, because kafka-go opens a connection for each
// request that finds the others in use. Calls whose callers make one at a time
// (fetches, and what a member of a group does) need few connections and are free.
// The others may come once per partition, in hundreds at a start: they pass one by
// one, in the order they came; what can be asked about many partitions is asked
// together.
//
// A slot is held until the broker has answered or the time of the call is over,
// also when its caller has gone: the connection is in use as long.
type turns struct {
	lookup *semaphore.Weighted
	write  *semaphore.Weighted // Produce may wait for replicas, lookups shall not wait for it

	committed together[TopicPartition, Committed]
	listed    together[OffsetAt, ListedOffset]
	stored    together[*RecordSet, Stored]
}

func newTurns() *turns {
	return &turns{lookup: semaphore.NewWeighted(1), write: semaphore.NewWeighted(1)}
}

// timed gives a context that has no deadline one for a call.
func timed(ctx context.Context, q *call) (context.Context, context.CancelFunc) {
	if _, given := ctx.Deadline(); given {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout+q.wait)
}

// inTurn carries a call when slot is free. ctx has a deadline.
func (c *Client) inTurn(ctx context.Context, slot *semaphore.Weighted, carry func(context.Context) (*answer, error)) (*answer, error) {
	if err := slot.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	going, cancel := context.WithDeadline(c.life, deadline)
	var a *answer
	var err error
	done := make(chan struct{})
	go func() {
		defer slot.Release(1)
		defer cancel()
		a, err = carry(going)
		close(done)
	}()
	select {
	case <-done:
		return a, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
