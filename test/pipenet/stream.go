package pipenet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// buffer is how many bytes of one direction may be on their way.
const buffer = 64 << 10

// stream is one direction of a connection.
type stream struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	way     []chunk
	size    int   // bytes on their way
	ended   bool  // nothing comes after what is on its way
	broken  error // for both ends
	deaf    bool  // the reader closed: what is written breaks the connection
	held    bool
	delay   time.Duration
	left    int64 // bytes that may still be written before spent is called; <0: no limit
	spent   func()

	readBy, writeBy time.Time // deadlines
}

// chunk is what one Write sent; it arrives at due.
type chunk struct {
	data []byte
	due  time.Time
}

func newStream() *stream { return &stream{changed: make(chan struct{}), left: -1} }

// update changes the stream under its lock and wakes who waits for it.
func (s *stream) update(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait lets go of the lock until something changed or one of the times came.
func (s *stream) wait(until ...time.Time) {
	var first time.Time
	for _, t := range until {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	if first.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(first))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}

func past(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var due time.Time
		switch {
		case s.broken != nil:
			return 0, s.broken
		case s.deaf:
			return 0, net.ErrClosed
		case past(s.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case s.held:
		case len(s.way) > 0 && !time.Now().Before(s.way[0].due):
			return s.take(b), nil
		case len(s.way) > 0:
			due = s.way[0].due
		case s.ended:
			return 0, io.EOF
		}
		s.wait(due, s.readBy)
	}
}

func (s *stream) take(b []byte) int {
	n := copy(b, s.way[0].data)
	if s.way[0].data = s.way[0].data[n:]; len(s.way[0].data) == 0 {
		s.way = s.way[1:]
	}
	s.size -= n
	close(s.changed)
	s.changed = make(chan struct{})
	return n
}

// write returns when everything is on its way.
func (s *stream) write(b []byte) (n int, err error) {
	var spent func()
	defer func() {
		if spent != nil {
			spent()
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken != nil:
			return n, s.broken
		case s.ended:
			return n, net.ErrClosed
		case s.deaf:
			return n, syscall.EPIPE
		case past(s.writeBy):
			return n, os.ErrDeadlineExceeded
		case n == len(b):
			return n, nil
		}
		room := min(buffer-s.size, len(b)-n)
		if s.left >= 0 {
			room = int(min(int64(room), s.left))
		}
		if room > 0 {
			s.send(b[n : n+room])
			n += room
		}
		if s.left == 0 {
			spent, s.left = s.spent, -1
			return n, syscall.ECONNRESET
		}
		if n < len(b) && room == 0 {
			s.wait(s.writeBy)
		}
	}
}

func (s *stream) send(b []byte) {
	due := time.Now().Add(s.delay)
	if n := len(s.way); n > 0 && s.way[n-1].due.After(due) { // order is kept
		due = s.way[n-1].due
	}
	s.way = append(s.way, chunk{append([]byte(nil), b...), due})
	s.size += len(b)
	if s.left > 0 {
		s.left -= int64(len(b))
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// drop forgets what is on its way.
func (s *stream) drop() { s.way, s.size = nil, 0 }

// reset breaks the direction for both ends.
func (s *stream) reset() {
	s.update(func() {
		s.drop()
		if s.broken == nil {
			s.broken = syscall.ECONNRESET
		}
	})
}

// end lets what is on its way arrive, unless it is held back.
func (s *stream) end() {
	s.update(func() {
		if s.held {
			s.drop()
		}
		s.ended = true
	})
}

// forsake is the reader's close.
func (s *stream) forsake() {
	s.update(func() {
		s.drop()
		s.deaf = true
	})
}
