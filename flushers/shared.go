package flushers

import (
	"errors"
	"io"
	"sync"
)

// Shared holds one value per key for the lanes of a process: what
// Context.Shared returns comes from here. Values are counted; the last release
// closes them. The zero value is ready. Safe for concurrent use.
type Shared struct {
	mu     sync.Mutex
	values map[string]*sharedValue
}

type sharedValue struct {
	refs   int
	opened chan struct{} // closed when open has returned
	closed chan struct{} // made by the last release, closed when Close has returned
	v      io.Closer
	err    error
}

// Get returns the value of a key. The first caller's open makes it, outside the
// registry's lock: others of the same key wait for that one open, other keys go
// on. An error goes to all who waited and is not kept: the next caller opens
// again. A key whose value is being closed is opened only after Close returned,
// so that locks and ports are free again.
//
// release may be called more than once; only the first counts. What Close
// returns is dropped, so a value that has something to say logs it.
func (s *Shared) Get(key string, open func() (io.Closer, error)) (v io.Closer, release func(), err error) {
	for {
		e, mine, wait := s.join(key)
		if wait != nil {
			<-wait
			continue
		}
		if mine {
			s.open(key, e, open)
		}
		<-e.opened
		if e.err != nil {
			return nil, nil, e.err
		}
		return e.v, sync.OnceFunc(func() { s.release(key, e) }), nil
	}
}

// Len is how many values are open or being opened or closed.
func (s *Shared) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}

// join counts the caller in. mine: it has to open; wait: the key is being closed.
func (s *Shared) join(key string) (e *sharedValue, mine bool, wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e = s.values[key]; e == nil {
		e, mine = &sharedValue{opened: make(chan struct{})}, true
		if s.values == nil {
			s.values = make(map[string]*sharedValue)
		}
		s.values[key] = e
	}
	if e.closed != nil {
		return nil, false, e.closed
	}
	e.refs++
	return e, mine, nil
}

// open runs the caller's open. A panic in it passes through; those who waited
// get an error.
func (s *Shared) open(key string, e *sharedValue, open func() (io.Closer, error)) {
	e.err = errOpenPanicked
	defer func() {
		if e.err != nil {
			s.forget(key)
		}
		close(e.opened)
	}()
	if e.v, e.err = open(); e.err == nil && e.v == nil {
		e.err = errNothingOpened
	}
}

func (s *Shared) release(key string, e *sharedValue) {
	s.mu.Lock()
	e.refs--
	last := e.refs == 0
	if last {
		e.closed = make(chan struct{})
	}
	s.mu.Unlock()
	if !last {
		return
	}
	defer func() {
		s.forget(key)
		close(e.closed)
	}()
	_ = e.v.Close()
}

func (s *Shared) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
}

var (
	errOpenPanicked  = errors.New("couldn't open the shared connection: the call that opened it panicked")
	errNothingOpened = errors.New("couldn't open the shared connection: open returned neither a value nor an error")
)
