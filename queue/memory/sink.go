package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/flushline/flushline/queue"
)

// Sink keeps what it is given, and can be told to fail or to wait.
type Sink struct {
	name  string
	count counter

	mu       sync.Mutex
	stored   []queue.Message
	failing  int
	err      error
	maxBytes int64
	gate     chan struct{} // closed or nil: open
}

// NewSink makes an empty sink.
func NewSink(name string) *Sink { return &Sink{name: name} }

// FailNext makes the next n messages fail with err; n below zero: all until told
// otherwise.
func (s *Sink) FailNext(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing, s.err = n, err
}

// Limit refuses messages whose value, key and headers exceed n bytes; 0: none.
func (s *Sink) Limit(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxBytes = n
}

// Block makes Put wait until open is called.
func (s *Sink) Block() (open func()) {
	gate := make(chan struct{})
	s.mu.Lock()
	s.gate = gate
	s.mu.Unlock()
	return sync.OnceFunc(func() { close(gate) })
}

// Put implements queue.Sink. Messages are copied.
func (s *Sink) Put(ctx context.Context, ms []queue.Message) []error {
	if err := s.pass(ctx); err != nil {
		return slices.Repeat([]error{err}, len(ms))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for i := range ms {
		err := s.store(&ms[i])
		if err != nil && errs == nil {
			errs = make([]error, len(ms))
		}
		if err != nil {
			errs[i] = err
		}
	}
	return errs
}

func (s *Sink) pass(ctx context.Context) error {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate == nil {
		return ctx.Err()
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("couldn't put into %s: %w", s.Describe(), ctx.Err())
	}
}

func (s *Sink) store(m *queue.Message) error {
	if s.failing != 0 {
		s.failing--
		return fmt.Errorf("couldn't put into %s: %w", s.Describe(), s.err)
	}
	if s.maxBytes > 0 && m.Size() > s.maxBytes {
		return fmt.Errorf("couldn't put into %s: the message has %d bytes, the limit is %d", s.Describe(), m.Size(), s.maxBytes)
	}
	c := *m
	c.Value, c.Key, c.Headers = slices.Clone(m.Value), slices.Clone(m.Key), slices.Clone(m.Headers)
	c.Position = int64(len(s.stored)) + 1
	s.stored = append(s.stored, c)
	s.count.add()
	return nil
}

// Describe implements queue.Sink.
func (s *Sink) Describe() string { return "memory sink " + s.name }

// Messages are what was stored, in order.
func (s *Sink) Messages() []queue.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.stored)
}

// Wait waits until n messages are stored in all.
func (s *Sink) Wait(ctx context.Context, n int64) error {
	if err := s.count.wait(ctx, n); err != nil {
		return fmt.Errorf("couldn't see %d messages in %s: it has %d: %w", n, s.Describe(), s.count.n.Load(), err)
	}
	return nil
}
