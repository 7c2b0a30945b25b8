package http

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/flushline/flushline/flushers"
)

// flush sends a batch, in as many requests as it takes.
func (f *Flusher) flush(ctx context.Context, b *flushers.Batch) error {
	all, refused := f.split(b)
	if len(all) == 1 && len(refused) == 0 {
		return f.send(ctx, b, all[0])
	}
	o := &outcome{groups: count(b), failed: map[int]error{}}
	for i, err := range refused {
		o.failed[i], o.settled = err, true
	}
	var next atomic.Int64
	work := func() {
		for n := next.Add(1); n <= int64(len(all)); n = next.Add(1) {
			if r := all[n-1]; o.wants(r) {
				o.note(r, f.send(ctx, b, r))
			}
		}
	}
	var others sync.WaitGroup
	for range min(f.InFlight, len(all)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	return o.result()
}

// send sends one request, as soon as the lane may have one more.
func (f *Flusher) send(ctx context.Context, b *flushers.Batch, r *request) error {
	if len(r.pieces) == 0 {
		return nil
	}
	body, many, err := f.body(r)
	if err != nil || len(body) == 0 && !f.writer.PerLog() {
		return err // groups without logs have no lines: nothing to store
	}
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("couldn't begin a request to %s: %w", r.place.shown, ctx.Err())
	}
	defer func() { <-f.slots }()
	return f.post(ctx, b, r, body, many)
}

// outcome puts together what became of the requests of one batch. Safe for concurrent
// use.
type outcome struct {
	groups int

	mu      sync.Mutex
	failed  map[int]error
	settled bool  // some failed for reasons of their own
	shared  error // requests of several groups were refused, and one of these is to blame
	down    error // the destination does not take anything now
	row     int   // failures of that kind, one after the other
	stopped bool
}

// giveUp is how many requests fail, one after the other, before the rest of a batch waits
// for the next try. A single one may be about its own groups.
const giveUp = 3

// wants says whether a request is still to be sent. One is not when nothing gets through,
// or when each of its groups comes again anyway.
func (o *outcome) wants(r *request) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		for _, p := range r.pieces {
			o.failLocked(p.group, o.down)
		}
		return false
	}
	for _, p := range r.pieces {
		if o.failed[p.group] == nil {
			return true
		}
	}
	return false
}

func (o *outcome) note(r *request, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		o.row = 0
		return
	}
	several := r.pieces[0].group != r.pieces[len(r.pieces)-1].group
	switch class, _ := flushers.Classify(err); {
	case class != flushers.ClassPermanent && class != flushers.ClassTooLarge:
		o.down = err
		o.row++
		o.stopped = o.stopped || class != flushers.ClassRetry || o.row >= giveUp
	case several:
		o.row = 0
		o.shared = err
		err = errors.New(err.Error() + " (several groups were refused at once: they are tried again without the others of their batch)")
	default:
		o.row = 0
		o.settled = true
	}
	for _, p := range r.pieces {
		o.failLocked(p.group, err)
	}
}

// failLocked keeps the first reason, but one that is for good.
func (o *outcome) failLocked(group int, err error) {
	class, _ := flushers.Classify(err)
	if o.failed[group] == nil || class == flushers.ClassPermanent {
		o.failed[group] = err
	}
}

// result is nil, the error of the whole batch, or which groups failed.
func (o *outcome) result() error {
	switch {
	case len(o.failed) == 0:
		return nil
	case len(o.failed) < o.groups || o.settled && o.groups > 1:
		return &flushers.PartialError{Failed: o.failed}
	case o.settled:
		return o.failed[0]
	case o.down != nil:
		return o.down
	}
	return o.shared // the worker halves the batch
}
