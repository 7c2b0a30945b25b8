package group

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// tardy carries out the first commit late, whether or not its caller still waits.
type tardy struct {
	alone
	takes  time.Duration
	stored atomic.Int64
}

func (c *tardy) Commit(ctx context.Context, _ string, _ wire.Membership, ps []wire.CommitPartition) (map[wire.TopicPartition]error, error) {
	c.commits <- time.Now()
	if c.n++; c.n > 1 {
		c.stored.Store(ps[0].Offset)
		return nil, nil
	}
	done := make(chan struct{})
	go func() {
		time.Sleep(c.takes)
		c.stored.Store(ps[0].Offset)
		close(done)
	}()
	select {
	case <-done:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A commit that was sent is on its way, whoever wanted it: the last one of a lease
// must not come to the broker before it, or the offset goes back for good.
func TestALastCommitComesAfterOneThatMadeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &tardy{alone: alone{commits: make(chan time.Time, 10)}, takes: answerWithin / 2}
		leases := make(chan *Lease, 1)
		m, err := New(Config{
			Client: c, Group: "g", Session: 30 * time.Second, Rebalance: time.Minute, Heartbeat: 3 * time.Second, Drain: time.Second,
			Partitions: func(context.Context, []string) (map[string][]int32, error) {
				return map[string][]int32{"a": {0}}, nil
			},
			Serve: func(ctx context.Context, l *Lease) { leases <- l; <-ctx.Done() },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		m.Subscribe([]string{"a"})
		l := <-leases
		periodic, cut := context.WithCancel(ctx)
		answered := make(chan []error, 1)
		go func() { answered <- m.Commit(periodic, []Mark{{Lease: l, Offset: 1}}) }()
		<-c.commits
		cut()
		if errs := m.Commit(ctx, []Mark{{Lease: l, Offset: 2}}); errs != nil {
			t.Error(errs)
		}
		if errs := <-answered; errs != nil {
			t.Errorf("what was stored is not known as stored: %v", errs)
		}
		time.Sleep(c.takes)
		if at := c.stored.Load(); at != 2 {
			t.Errorf("the broker is left with offset %d, the last commit was of 2", at)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
