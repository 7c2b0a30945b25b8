package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flushline/flushline/queue"
)

func statusNeverBlocks(b *bench) {
	c := b.start(limit)
	ctx, cancel := context.WithCancel(b.ctx)
	waiting := make(chan error, 1)
	go func() {
		_, err := c.strand.Fetch(ctx, everything)
		waiting <- err
	}()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				begin := time.Now()
				c.strand.Status()
				if took := time.Since(begin); took > 5*time.Second {
					b.Errorf("status took %v while a fetch waits", took)
				}
			}
		})
	}
	wg.Wait()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		b.Errorf("cancelled fetch returned %v", err)
	}
	c.stop()
}

func statusCounts(b *bench) {
	b.publish(10, 100)
	c := b.start(limit)
	ds := c.collect(10)
	b.statusBecomes(c, func(st queue.Status) error {
		if st.Unsettled != 10 || st.State != queue.StateConsuming || st.Oldest.IsZero() {
			return fmt.Errorf("with 10 messages out: %+v", st)
		}
		return nil
	})
	ack(ds...)
	b.statusBecomes(c, func(st queue.Status) error {
		if st.Unsettled != 0 || st.Lag > 0 || !st.Oldest.IsZero() || st.Committed < st.Position {
			return fmt.Errorf("with all acknowledged: %+v", st)
		}
		return nil
	})
	c.stop()
}

func (b *bench) statusBecomes(c *consumer, check func(queue.Status) error) {
	b.Helper()
	b.eventually(func() error { return check(c.strand.Status()) })
}

func stopEndsStrand(b *bench) {
	b.publish(3, 10)
	c := b.start(limit)
	c.collect(3)
	want := stopping()
	c.end(want)
	end, err := c.strand.End(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	if end.Reason != queue.Stopping || !end.Deadline.Equal(want.Deadline) {
		b.Errorf("the strand ended with %+v, want %+v", end, want)
	}
	select {
	case err := <-c.done:
		b.Errorf("run returned %v while its strand is still served", err)
	default:
	}
	c.leave()
	c.returned()
	b.pendingBecomes(3)
}
