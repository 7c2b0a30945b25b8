package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/flushline/flushline/queue"
)

// Host is a worker that does nothing by itself: it hands each strand to whoever
// asks for it, keeps a budget of bytes and records how it was used.
type Host struct {
	limit  int64
	serves chan *Serving

	mu      sync.Mutex
	used    int64
	peak    int64
	charged int64
	taken   int64
	faults  []error
	line    []*taker
}

type taker struct {
	min, max, got int64
	ready         chan struct{}
}

// NewHost makes a host whose budget is limit bytes.
func NewHost(limit int64) *Host {
	return &Host{limit: limit, serves: make(chan *Serving, 64)}
}

// Serving is one strand being served, from Serve's call to Finish.
type Serving struct {
	queue.Strand
	Ctx context.Context // ends with an *queue.End as its cause

	once sync.Once
	done chan error
}

// Finish makes Serve return err. Further calls do nothing.
func (s *Serving) Finish(err error) { s.once.Do(func() { s.done <- err }) }

// End waits until the strand's context has ended and returns why.
func (s *Serving) End(ctx context.Context) (*queue.End, error) {
	select {
	case <-s.Ctx.Done():
	case <-ctx.Done():
		return nil, fmt.Errorf("couldn't see strand %s end: %w", s.Info().Name, ctx.Err())
	}
	cause := context.Cause(s.Ctx)
	var end *queue.End
	if !errors.As(cause, &end) {
		return nil, fmt.Errorf("strand %s ended without an *queue.End as its cause: %w", s.Info().Name, cause)
	}
	return end, nil
}

// Next is the next strand that a source gave to Serve.
func (h *Host) Next(ctx context.Context) (*Serving, error) {
	select {
	case s := <-h.serves:
		return s, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("couldn't get a strand: the source called Serve too seldom: %w", ctx.Err())
	}
}

// Serve implements queue.Host: it returns what Finish says.
func (h *Host) Serve(ctx context.Context, s queue.Strand) error {
	sv := &Serving{Strand: s, Ctx: ctx, done: make(chan error, 1)}
	h.serves <- sv
	return <-sv.done
}

// Take implements queue.Host. A min above the whole budget is granted when
// nothing else is in use.
func (h *Host) Take(ctx context.Context, least, most int64) (int64, error) {
	t, err := h.queueUp(least, most)
	if err != nil || t.ready == nil {
		return t.got, err
	}
	select {
	case <-t.ready:
		return t.got, nil
	case <-ctx.Done():
		return h.leave(t, ctx.Err())
	}
}

// queueUp serves a taker at once (ready is nil then) or puts it in line.
func (h *Host) queueUp(least, most int64) (*taker, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &taker{min: least, max: max(least, most)}
	if least < 0 || most < least {
		err := fmt.Errorf("take with min %d and max %d", least, most)
		h.faults = append(h.faults, err)
		return t, err
	}
	if (len(h.line) == 0 && h.grant(t)) || least == 0 {
		return t, nil
	}
	t.ready = make(chan struct{})
	h.line = append(h.line, t)
	return t, nil
}

// leave takes a taker out of the line, unless it was served meanwhile.
func (h *Host) leave(t *taker, why error) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, o := range h.line {
		if o == t {
			h.line = append(h.line[:i], h.line[i+1:]...)
			h.serve()
			return 0, why
		}
	}
	return t.got, nil
}

func (h *Host) grant(t *taker) bool {
	free := h.limit - h.used
	if free < t.min && (h.used > 0 || t.min <= h.limit) {
		return false
	}
	t.got = max(t.min, min(t.max, free))
	h.use(t.got)
	h.taken += t.got
	return true
}

func (h *Host) serve() {
	for len(h.line) > 0 && h.grant(h.line[0]) {
		close(h.line[0].ready)
		h.line = h.line[1:]
	}
}

func (h *Host) use(n int64) {
	h.used += n
	h.peak = max(h.peak, h.used)
}

// Give implements queue.Host.
func (h *Host) Give(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.used -= n
	if n < 0 || h.used < 0 {
		h.faults = append(h.faults, fmt.Errorf("gave %d bytes, which leaves a balance of %d", n, h.used))
	}
	h.serve()
}

// Charge implements queue.Host.
func (h *Host) Charge(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.charged += n
	h.use(n)
}

// Usage is a snapshot of the budget.
type Usage struct {
	Used    int64 // taken and charged, not given back
	Peak    int64 // the most Used was
	Taken   int64 // in all
	Charged int64 // in all, beyond what was taken
	Waiting int   // takers in line
}

// Usage is a snapshot of the budget.
func (h *Host) Usage() Usage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Usage{Used: h.used, Peak: h.peak, Taken: h.taken, Charged: h.charged, Waiting: len(h.line)}
}

// Err is what the source did wrong with the budget: more given than taken, or a
// Take that makes no sense.
func (h *Host) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.faults...)
}
