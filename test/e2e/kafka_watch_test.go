//go:build unix

package e2e

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// offsets are the committed offsets of a group as they were seen over time.
type offsets struct {
	seen  int // how often
	moves int // how often one had moved
	back  []string
	err   error
}

// watchOffsets reads the committed offsets again and again. The returned function
// ends that and fails the test if one was ever seen below what it was before.
func (k *kafka) watchOffsets(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var o offsets
	var watching sync.WaitGroup
	watching.Go(func() { o.watch(ctx, k) })
	end := sync.OnceFunc(func() {
		cancel()
		watching.Wait()
	})
	t.Cleanup(end)
	return func() {
		t.Helper()
		end()
		t.Logf("committed offsets were read %d times and had moved %d times", o.seen, o.moves)
		if o.err != nil || o.seen == 0 || o.moves == 0 {
			t.Errorf("the committed offsets were not watched: %v", o.err)
		}
		for _, b := range o.back {
			t.Errorf("a committed offset went back: %s", b)
		}
	}
}

func (o *offsets) watch(ctx context.Context, k *kafka) {
	before := map[int32]int64{}
	for ctx.Err() == nil {
		now := k.cluster.Committed(&outside{ctx, &o.err}, k.group, k.topic)
		o.seen++
		for p, c := range now {
			switch was, ok := before[p]; {
			case ok && c.Offset < was:
				o.back = append(o.back, fmt.Sprintf("partition %d from %d to %d", p, was, c.Offset))
			case c.Offset != was:
				o.moves++
			}
			before[p] = c.Offset
		}
		for p := range before {
			if _, ok := now[p]; !ok {
				o.back = append(o.back, fmt.Sprintf("partition %d from %d to none", p, before[p]))
				delete(before, p)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// outside stands for the test in a goroutine that may not end it.
type outside struct {
	ctx context.Context
	err *error
}

func (*outside) Helper() {}

func (o *outside) Context() context.Context { return o.ctx }

// Fatalf ends the goroutine; what fails because the watch is over is no error.
func (o *outside) Fatalf(format string, args ...any) {
	if o.ctx.Err() == nil {
		*o.err = fmt.Errorf(format, args...)
	}
	runtime.Goexit()
}
