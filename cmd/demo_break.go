package cmd

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/worker"
)

// breaker makes one flusher entry fail while it is on, as a destination does
// whose server is down: first calls fail, then it says that it is not ready.
type breaker struct {
	on    atomic.Bool
	calls atomic.Int64 // failed since it was switched on
	entry string       // "route/flusher"
}

var errBroken = errors.New("connection refused (the demo broke this destination)")

// failures is how many calls fail before IsReady turns false.
const failures = 2

func (b *breaker) set(on bool) {
	b.calls.Store(0)
	b.on.Store(on)
}

// attach wraps the first flusher of the last route.
func (b *breaker) attach(cfg *worker.Config) {
	route := &cfg.Routes[len(cfg.Routes)-1]
	entry := &route.Flushers[0]
	b.entry = route.Name + "/" + entry.Name
	whole := entry.New
	entry.New = func() flushers.Flusher { return &breakable{Flusher: whole(), breaker: b} }
}

// breakable has all optional interfaces of a flusher, and passes each call on
// to what the wrapped one has.
type breakable struct {
	flushers.Flusher
	breaker *breaker
}

var (
	_ flushers.BatchFlusher = (*breakable)(nil)
	_ flushers.Concurrent   = (*breakable)(nil)
	_ flushers.Hinter       = (*breakable)(nil)
)

func (f *breakable) IsReady(project, logstore string, logstoreKey int64) bool {
	if f.breaker.on.Load() && f.breaker.calls.Load() >= failures {
		return false
	}
	return f.Flusher.IsReady(project, logstore, logstoreKey)
}

func (f *breakable) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	if f.breaker.on.Load() {
		f.breaker.calls.Add(1)
		return errBroken
	}
	if inner, ok := f.Flusher.(flushers.BatchFlusher); ok {
		return inner.FlushBatch(ctx, b)
	}
	return f.Flush(b.Project, b.Logstore, b.Config, b.Groups)
}

func (f *breakable) Concurrent() int {
	if inner, ok := f.Flusher.(flushers.Concurrent); ok {
		return inner.Concurrent()
	}
	return 1
}

func (f *breakable) BatchHint() flushers.Hint {
	if inner, ok := f.Flusher.(flushers.Hinter); ok {
		return inner.BatchHint()
	}
	return flushers.Hint{}
}
