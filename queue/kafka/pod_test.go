package kafka_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/queuetest"
)

// pod is a running source whose strands are all consumed: each delivery goes to
// take, which settles it. It is a worker without flushers.
type pod struct {
	*testing.T
	src  *kafka.Source
	take func(strand string, d *queue.Delivery)
	end  context.CancelCauseFunc
	done chan error
	logs *observer.ObservedLogs
	room queue.Room

	mu      sync.Mutex
	strands map[string]queue.Strand
	ended   map[string][]*queue.End // of strands that were served, by name

	pool  *queuetest.Host // the budget; nil: there is no limit
	atEnd func()          // called once a strand's context has ended, before Serve returns

	bytes atomic.Int64 // taken and charged, not given back
	paid  atomic.Int64 // charged, in all
}

// ackAll acknowledges and frees.
func ackAll(_ string, d *queue.Delivery) {
	d.Ack()
	d.Free()
}

// startPod opens a source of cfg and runs it.
func startPod(t *testing.T, cfg kafka.Config, take func(string, *queue.Delivery), with ...func(*pod)) *pod {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	src, err := kafka.Open(t.Context(), &cfg, kafka.Options{Log: zap.New(core), Drain: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(context.Background())
	p := &pod{
		T: t, src: src, take: take, end: end, done: make(chan error, 1), logs: logs,
		room: queue.Room{Messages: 512, Bytes: 4 << 20}, strands: map[string]queue.Strand{}, ended: map[string][]*queue.End{},
	}
	for _, f := range with {
		f(p)
	}
	go func() { p.done <- src.Run(ctx, p) }()
	t.Cleanup(func() {
		end(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
		tellLogs(t, logs)
	})
	return p
}

// tellLogs shows what was logged when the test has failed.
func tellLogs(t *testing.T, logs *observer.ObservedLogs) {
	t.Helper()
	if !t.Failed() {
		return
	}
	for _, e := range logs.All() {
		t.Log(e.Time.Format("05.000"), e.Level, e.LoggerName, e.Message, e.ContextMap())
	}
}

// stop ends the source in order and checks that every byte came back.
func (p *pod) stop() {
	p.Helper()
	p.end(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
	select {
	case err := <-p.done:
		if err != nil {
			p.Errorf("run returned %v", err)
		}
	case <-time.After(30 * time.Second):
		p.Fatal("run did not return")
	}
	p.src.Close()
	if n := p.bytes.Load(); n != 0 {
		p.Errorf("%d bytes were never given back", n)
	}
	for _, e := range p.logs.All() {
		for i, f := range e.Context {
			if slices.ContainsFunc(e.Context[:i], func(g zapcore.Field) bool { return g.Key == f.Key }) {
				p.Errorf("the log line %q says %s twice", e.Message, f.Key)
			}
		}
	}
}

// Serve implements queue.Host.
func (p *pod) Serve(ctx context.Context, s queue.Strand) error {
	name := s.Info().Name
	p.mu.Lock()
	p.strands[name] = s
	p.mu.Unlock()
	defer func() {
		var end *queue.End
		p.mu.Lock()
		if errors.As(context.Cause(ctx), &end) {
			p.ended[name] = append(p.ended[name], end)
		}
		if p.strands[name] == s {
			delete(p.strands, name)
		}
		p.mu.Unlock()
	}()
	for {
		ds, err := s.Fetch(ctx, p.room)
		for _, d := range ds {
			p.take(name, d)
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			if p.atEnd != nil {
				p.atEnd()
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// release has f called when a strand ends; it settles what take has kept.
func (p *pod) release(f func()) { p.atEnd = f }

// Take implements queue.Host.
func (p *pod) Take(ctx context.Context, least, most int64) (int64, error) {
	n := max(least, most)
	if p.pool != nil {
		var err error
		if n, err = p.pool.Take(ctx, least, most); err != nil {
			return 0, err
		}
	}
	p.bytes.Add(n)
	return n, nil
}

// Give implements queue.Host.
func (p *pod) Give(n int64) {
	p.bytes.Add(-n)
	if p.pool != nil {
		p.pool.Give(n)
	}
}

// Charge implements queue.Host.
func (p *pod) Charge(n int64) {
	p.bytes.Add(n)
	p.paid.Add(n)
	if p.pool != nil {
		p.pool.Charge(n)
	}
}

// status is that of a strand being served; ok is false if it is not.
func (p *pod) status(name string) (st queue.Status, ok bool) {
	p.mu.Lock()
	s := p.strands[name]
	p.mu.Unlock()
	if s == nil {
		return st, false
	}
	return s.Status(), true
}

// within is how long anything in these tests may take on a busy machine.
const within = 60 * time.Second

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come true within %v", what, within)
		}
	}
}
