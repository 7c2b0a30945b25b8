package checker

import (
	"context"
	"sync"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// Script says what the instances of a kind do, and keeps what they got. Its
// methods may be called from any goroutine, also while instances run. The
// exported fields are set before Kind is called.
type Script struct {
	Plain       bool          // only the Flush of the basic contract, without ids
	Raw         bool          // groups arrive as bytes
	NoRetain    bool          // groups are copied, as their memory may be reused
	Concurrent  int           // Flush calls at a time; 0 is 1
	Hint        flushers.Hint // what BatchHint answers
	CountOnly   bool          // keep no groups, ids or calls: for tests of memory
	OneInstance bool          // a second live instance of a key and note is a violation

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	stats   Stats
	calls   []*Call
	stored  []Stored
	seen    map[protocol.ID]bool
	live    map[claim]*instance
	broken  []string

	ready  func(protocol.Key) bool
	delay  time.Duration
	rules  []*rule
	onInit []*initRule
	onStop func(protocol.Key) error
}

// New makes a script whose instances are ready and store everything at once.
func New() *Script {
	return &Script{
		changed: make(chan struct{}),
		seen:    map[protocol.ID]bool{},
		live:    map[claim]*instance{},
		ready:   func(protocol.Key) bool { return true },
		onStop:  func(protocol.Key) error { return nil },
	}
}

// When chooses the calls a rule applies to. It runs under the script's lock, so
// it must not use the script.
type When func(c *Call) bool

// Logstore chooses the calls of one logstore.
func Logstore(name string) When { return func(c *Call) bool { return c.Key.Logstore == name } }

// Project chooses the calls of one project.
func Project(name string) When { return func(c *Call) bool { return c.Key.Project == name } }

// Note chooses the calls of the flusher entries with that note.
func Note(text string) When { return func(c *Call) bool { return c.Note == text } }

// SetReady answers every IsReady from now on.
func (s *Script) SetReady(ready bool) { s.ReadyWhen(func(protocol.Key) bool { return ready }) }

// ReadyWhen asks f at every IsReady. It may sleep, hang or panic.
func (s *Script) ReadyWhen(f func(protocol.Key) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = f
}

// SetDelay makes each Flush take d, or until its context ends.
func (s *Script) SetDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// Do lets f answer the next n Flush calls that all of when choose; n < 0: every
// one until undo is called. Rules are tried in the order they were added, and
// one rule answers a call. f runs without the script's lock.
func (s *Script) Do(n int, f func(ctx context.Context, c *Call) error, when ...When) (undo func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &rule{left: n, do: f, when: when}
	s.rules = append(s.rules, r)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.left = 0
	}
}

// FailNext makes the next n Flush calls return err. With a *flushers.PartialError
// the groups it does not name count as stored.
func (s *Script) FailNext(n int, err error, when ...When) {
	s.Do(n, func(context.Context, *Call) error { return err }, when...)
}

// Fail makes every Flush return err until undo is called.
func (s *Script) Fail(err error, when ...When) (undo func()) {
	return s.Do(-1, func(context.Context, *Call) error { return err }, when...)
}

// PanicNext makes the next n Flush calls panic with v.
func (s *Script) PanicNext(n int, v any, when ...When) {
	s.Do(n, func(context.Context, *Call) error { panic(v) }, when...)
}

// Hang makes every Flush hang, deaf to its context, until release is called.
// Then those calls store what they were given and return nil.
func (s *Script) Hang(when ...When) (release func()) {
	open := make(chan struct{})
	undo := s.Do(-1, func(context.Context, *Call) error { <-open; return nil }, when...)
	return sync.OnceFunc(func() { undo(); close(open) })
}

// Stall is a Hang that listens: such a Flush returns the error of its context
// when that ends.
func (s *Script) Stall(when ...When) (release func()) {
	open := make(chan struct{})
	undo := s.Do(-1, func(ctx context.Context, _ *Call) error {
		select {
		case <-open:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}, when...)
	return sync.OnceFunc(func() { undo(); close(open) })
}

// OnInit lets f answer the next n calls of Init; n < 0: every one until undo.
func (s *Script) OnInit(n int, f func(flushers.Context) error) (undo func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &initRule{left: n, do: f}
	s.onInit = append(s.onInit, r)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.left = 0
	}
}

// FailInit makes the next n calls of Init return err.
func (s *Script) FailInit(n int, err error) {
	s.OnInit(n, func(flushers.Context) error { return err })
}

// HangInit makes every Init hang until release is called.
func (s *Script) HangInit() (release func()) {
	open := make(chan struct{})
	undo := s.OnInit(-1, func(flushers.Context) error { <-open; return nil })
	return sync.OnceFunc(func() { undo(); close(open) })
}

// OnStop answers every Stop. It may hang or panic.
func (s *Script) OnStop(f func(protocol.Key) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onStop = f
}

type rule struct {
	left int
	do   func(context.Context, *Call) error
	when []When
}

func (r *rule) applies(c *Call) bool {
	if r.left == 0 {
		return false
	}
	for _, w := range r.when {
		if !w(c) {
			return false
		}
	}
	if r.left > 0 {
		r.left--
	}
	return true
}

type initRule struct {
	left int
	do   func(flushers.Context) error
}

func (s *Script) pick(c *Call) (func(context.Context, *Call) error, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rules {
		if r.applies(c) {
			return r.do, s.delay
		}
	}
	return func(context.Context, *Call) error { return nil }, s.delay
}

func (s *Script) answer(ctx context.Context, c *Call) error {
	do, delay := s.pick(c)
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return do(ctx, c)
}

func (s *Script) askReady(key protocol.Key) bool {
	s.mu.Lock()
	f := s.ready
	s.mu.Unlock()
	s.update(func(st *Stats) { st.Asked++ })
	return f(key)
}

func (s *Script) runInit(c flushers.Context) error {
	s.mu.Lock()
	do := func(flushers.Context) error { return nil }
	for _, r := range s.onInit {
		if r.left != 0 {
			r.left = max(r.left-1, -1)
			do = r.do
			break
		}
	}
	s.mu.Unlock()
	return do(c)
}

func (s *Script) runStop(key protocol.Key) error {
	s.mu.Lock()
	f := s.onStop
	s.mu.Unlock()
	return f(key)
}
