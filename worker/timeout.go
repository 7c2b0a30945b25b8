package worker

import (
	"context"
	"sync"
	"time"
)

// timeout is the context of one FlushBatch: the instance's, ended at the flush
// timeout. Its timer is made when somebody asks for Done, so that a Flush which is
// over in microseconds does not pay for one.
type timeout struct {
	parent context.Context
	limit  time.Time

	mu     sync.Mutex
	ctx    context.Context // made by Done
	cancel context.CancelFunc
	over   bool
}

// Deadline implements context.Context.
func (t *timeout) Deadline() (time.Time, bool) { return t.limit, true }

// Done implements context.Context.
func (t *timeout) Done() <-chan struct{} { return t.real().Done() }

// Err implements context.Context.
func (t *timeout) Err() error { return t.real().Err() }

// Value leads contexts derived from this one to the real one, so that they need no
// goroutine to follow it.
func (t *timeout) Value(key any) any { return t.real().Value(key) }

func (t *timeout) real() context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx == nil {
		t.ctx, t.cancel = context.WithDeadline(t.parent, t.limit)
		if t.over {
			t.cancel()
		}
	}
	return t.ctx
}

// end is for the caller of FlushBatch, when it has returned.
func (t *timeout) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	if t.cancel != nil {
		t.cancel()
	}
}
