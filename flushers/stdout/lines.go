package stdout

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

const stuckAfter = time.Second

// lines is the one writer of the process.
type lines struct {
	turn  chan struct{} // holds one token while nobody writes
	out   io.Writer
	torn  bool         // the last write ended inside a line; owned by who has the turn
	since atomic.Int64 // when the running write began, of package clock; 0: none
}

func newLines(out io.Writer) *lines {
	l := &lines{turn: make(chan struct{}, 1), out: out}
	l.turn <- struct{}{}
	return l
}

// write waits for its turn, and for the write, while ctx lives. The write itself
// cannot be cut off: it may go on when ctx has ended, and b is free only when done
// was called.
func (l *lines) write(ctx context.Context, b []byte, done func()) error {
	if len(b) == 0 {
		done()
		return nil
	}
	select {
	case <-l.turn:
	case <-ctx.Done():
		done()
		return ctx.Err()
	}
	written := make(chan error, 1)
	go func() {
		l.since.Store(clock.Now())
		err := l.put(b)
		l.since.Store(0)
		done()
		l.turn <- struct{}{}
		written <- err
	}()
	select {
	case err := <-written:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// put is for who has the turn.
func (l *lines) put(b []byte) error {
	if l.torn {
		if _, err := l.out.Write([]byte{'\n'}); err != nil {
			return err
		}
		l.torn = false
	}
	n, err := l.out.Write(b)
	l.torn = n > 0 && b[n-1] != '\n'
	return err
}

// stuck says that a write has been running for too long.
func (l *lines) stuck() bool {
	since := l.since.Load()
	return since != 0 && time.Duration(clock.Now()-since) > stuckAfter
}

// Close leaves the standard output open: it is the process's.
func (l *lines) Close() error { return nil }
