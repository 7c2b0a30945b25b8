package flushertest

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// Process stands for the process in which instances live: those made from one
// Process share connections and metrics.
type Process struct {
	Shared flushers.Shared

	mu      sync.Mutex
	metrics map[string]*metric
}

// NewContext is the Context of a key in a process of its own. Its runtime
// context ends when the test ends.
func NewContext(t testing.TB, key protocol.Key) flushers.Context {
	return new(Process).Context(t, key)
}

// Context is the Context of a key. Its runtime context ends when the test ends.
func (p *Process) Context(t testing.TB, key protocol.Key) flushers.Context {
	return p.ContextWith(t.Context(), t, key)
}

// ContextWith is Context with a runtime context of the caller's.
func (p *Process) ContextWith(ctx context.Context, t testing.TB, key protocol.Key) flushers.Context {
	return &lane{process: p, shared: p, key: key, ctx: ctx, logger: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))}
}

// Metric is the value of a counter or gauge that instances of this process made.
func (p *Process) Metric(name string) int64 { return p.metric(name).value.Load() }

// Counter is for kinds, through Context.Metrics.
func (p *Process) Counter(name, _ string) flushers.Counter { return p.metric(name) }

// Gauge is for kinds, through Context.Metrics.
func (p *Process) Gauge(name, _ string) flushers.Gauge { return p.metric(name) }

func (p *Process) metric(name string) *metric {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.metrics[name]
	if m == nil {
		if p.metrics == nil {
			p.metrics = make(map[string]*metric)
		}
		m = &metric{}
		p.metrics[name] = m
	}
	return m
}

type metric struct{ value atomic.Int64 }

func (m *metric) Add(n int64) { m.value.Add(n) }
func (m *metric) Set(v int64) { m.value.Store(v) }

// sharer is where a lane's shared values come from.
type sharer interface {
	share(key string, open func() (io.Closer, error)) (io.Closer, func(), error)
}

func (p *Process) share(key string, open func() (io.Closer, error)) (io.Closer, func(), error) {
	return p.Shared.Get(key, open)
}

type lane struct {
	process *Process
	shared  sharer
	key     protocol.Key
	ctx     context.Context
	logger  *zap.Logger
}

func (l *lane) GetConfigName() string              { return l.key.Config }
func (l *lane) GetProject() string                 { return l.key.Project }
func (l *lane) GetLogstore() string                { return l.key.Logstore }
func (l *lane) GetRuntimeContext() context.Context { return l.ctx }
func (l *lane) Logger() *zap.Logger                { return l.logger }
func (l *lane) Metrics() flushers.Metrics          { return l.process }

func (l *lane) Shared(key string, open func() (io.Closer, error)) (io.Closer, func(), error) {
	return l.shared.share(key, open)
}
