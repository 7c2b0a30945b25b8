package nats_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
)

// ledger is what two pods did together.
type ledger struct {
	mu    sync.Mutex
	acked map[int64]int
	times int // handed out
	twice int // handed out twice by one strand
}

// handed notes a Fetch of a strand that had handed out seen before.
func (l *ledger) handed(ds []*queue.Delivery, seen map[int64]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times += len(ds)
	for _, d := range ds {
		if at := d.Message().Position; seen[at] {
			l.twice++
		} else {
			seen[at] = true
		}
	}
}

func (l *ledger) ack(d *queue.Delivery) {
	l.mu.Lock()
	l.acked[d.Message().Position]++
	l.mu.Unlock()
	d.Ack()
	d.Free()
}

func (l *ledger) distinct() (acked, handed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked), l.times
}

// consume serves strands until ctx ends: it acknowledges in any order, a while
// after the fetch, and releases what is left when a strand ends.
func (l *ledger) consume(ctx context.Context, host *queuetest.Host) {
	for {
		s, err := host.Next(ctx)
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		seen := map[int64]bool{}
		for {
			ds, err := s.Fetch(s.Ctx, queue.Room{Messages: 200, Bytes: 1 << 20})
			if err != nil {
				break
			}
			l.handed(ds, seen)
			rand.Shuffle(len(ds), func(i, j int) { ds[i], ds[j] = ds[j], ds[i] })
			wg.Go(func() { l.settle(s.Ctx, ds) })
		}
		wg.Wait()
		s.Finish(nil)
	}
}

func (l *ledger) settle(ctx context.Context, ds []*queue.Delivery) {
	t := time.NewTimer(rand.N(100 * time.Millisecond))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	for _, d := range ds {
		if errors.Is(context.Cause(ctx), context.Canceled) || ctx.Err() != nil && rand.N(2) == 0 {
			release(d)
			continue
		}
		l.ack(d)
	}
}

// Two pods, a server that is killed again and again, pods that come and go: at
// the end each message was acknowledged, and no strand handed one out twice. (Two
// strands do: a killed server forgets its last moments.)
func TestAStormLosesNothing(t *testing.T) {
	t.Parallel()
	q, c := openChildQueue(t, func(cfg *nats.Config) { cfg.AckWait = nats.MinAckWait })
	const n = 20_000
	q.publish(n/2, 200)
	l := &ledger{acked: map[int64]int{}}
	pods := []*stormPod{q.startStorm(l), q.startStorm(l)}
	for round := range 3 {
		q.eventually(func() error {
			if acked, _ := l.distinct(); acked < n*(round+1)/8 {
				return errorf("%d acknowledged", acked)
			}
			return nil
		})
		c.kill()
		c.start()
		pods[round%2].stop(t)
		pods[round%2] = q.startStorm(l)
	}
	q.eventually(func() error {
		if !q.conn.Connected() {
			return errorf("the publisher is not connected")
		}
		return nil
	})
	q.publish(n/2, 200)
	q.pending(0, 0)
	for _, p := range pods {
		p.stop(t)
	}
	acked, handed := l.distinct()
	t.Logf("%d messages, %d handed out, %d acknowledged", n, handed, acked)
	if acked != n || l.twice != 0 {
		t.Errorf("%d of %d messages were acknowledged, %d were handed out twice by one strand", acked, n, l.twice)
	}
}

// stormPod is a pod that consumes by itself.
type stormPod struct {
	host *queuetest.Host
	end  context.CancelCauseFunc
	quit context.CancelFunc
	done chan error
}

func (q *testQueue) startStorm(l *ledger) *stormPod {
	q.Helper()
	var src *nats.Source
	q.eventually(func() (err error) { // the server may have been killed a moment ago
		if os.Getenv("FLUSHLINE_TEST_LOG") != "" {
			q.with.Log = zaptest.NewLogger(q)
		}
		src, err = q.open()
		return err
	})
	ctx, end := context.WithCancelCause(context.Background())
	serving, quit := context.WithCancel(context.Background())
	p := &stormPod{host: queuetest.NewHost(budget), end: end, quit: quit, done: make(chan error, 1)}
	go l.consume(serving, p.host)
	go func() { p.done <- src.Run(ctx, p.host) }()
	q.Cleanup(func() { end(stopping()); quit() })
	return p
}

func (p *stormPod) stop(t *testing.T) {
	t.Helper()
	p.end(stopping())
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("run: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("run did not return")
	}
	p.quit()
	if u := p.host.Usage(); u.Used != 0 || p.host.Err() != nil {
		t.Errorf("after the stop %d bytes of the budget are in use: %v", u.Used, p.host.Err())
	}
}
