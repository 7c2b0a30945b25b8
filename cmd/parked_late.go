package cmd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/flushline/flushline/queue"
)

// lateParked is the companion of a worker that perhaps needs none: it is opened when
// the configuration parks, at the start or by a reload, or when something is parked
// already. Until then nothing is asked of the broker, for which this user may have no
// right.
type lateParked struct {
	open func(ctx context.Context) (queue.Parked, error)

	opening sync.Mutex
	inner   atomic.Pointer[queue.Parked]
	opened  chan struct{} // closed when inner is there
}

var _ queue.Parked = (*lateParked)(nil)

func newLateParked(open func(context.Context) (queue.Parked, error)) *lateParked {
	return &lateParked{open: open, opened: make(chan struct{})}
}

// parked is the open companion, or nil.
func (l *lateParked) parked() queue.Parked {
	if p := l.inner.Load(); p != nil {
		return *p
	}
	return nil
}

// begin opens it, once.
func (l *lateParked) begin(ctx context.Context) (queue.Parked, error) {
	l.opening.Lock()
	defer l.opening.Unlock()
	if p := l.parked(); p != nil {
		return p, nil
	}
	p, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	l.inner.Store(&p)
	close(l.opened)
	return p, nil
}

// Prepare implements queue.Parked. Without entries nothing is needed.
func (l *lateParked) Prepare(ctx context.Context, entries []queue.Lane) error {
	if len(entries) == 0 {
		return nil
	}
	p, err := l.begin(ctx)
	if err != nil {
		return err
	}
	return p.Prepare(ctx, entries)
}

// Run implements queue.Parked: it serves from when it is open.
func (l *lateParked) Run(ctx context.Context, h queue.ParkedHost) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.opened:
		return l.parked().Run(ctx, h)
	}
}

var errNoCompanion = errors.New("no companion is open: nothing of the configuration parks")

// Put implements queue.Sink. A worker puts nothing before Prepare.
func (l *lateParked) Put(ctx context.Context, ms []queue.Message) []error {
	if p := l.parked(); p != nil {
		return p.Put(ctx, ms)
	}
	errs := make([]error, len(ms))
	for i := range errs {
		errs[i] = errNoCompanion
	}
	return errs
}

// Lanes implements queue.Parked.
func (l *lateParked) Lanes(ctx context.Context) ([]queue.Backlog, error) {
	if p := l.parked(); p != nil {
		return p.Lanes(ctx)
	}
	return nil, nil
}

func (l *lateParked) Look(lane queue.Lane) {
	if p := l.parked(); p != nil {
		p.Look(lane)
	}
}

func (l *lateParked) Describe() string {
	if p := l.parked(); p != nil {
		return p.Describe()
	}
	return "no companion"
}
