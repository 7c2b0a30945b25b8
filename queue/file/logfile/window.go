package logfile

import (
	"errors"
	"io"
)

// window is what was decompressed and is not used up.
type window struct {
	from io.Reader
	buf  []byte
	used int   // of buf
	at   int64 // the position of buf[used]

	ended  bool   // no more will come
	broken string // why it ended before its end; empty: it did not
}

// windowBytes is the usual size of a window's memory: two blocks of lines.
const windowBytes = 2 * packBytes

// readAhead is how much is read where less is asked for.
const readAhead = 64 << 10

// have is what may be used. It is valid until the next fill.
func (w *window) have() []byte { return w.buf[w.used:] }

func (w *window) use(n int) {
	w.used += n
	w.at += int64(n)
}

// fill reads until there are n bytes, or all that will come. Memory grows as they
// come. An error is trouble with the stored bytes.
func (w *window) fill(n int) error {
	for len(w.buf)-w.used < n && !w.ended {
		w.room(n)
		most := min(w.used+max(n, readAhead), cap(w.buf)) // what is left over is moved
		got, err := w.from.Read(w.buf[len(w.buf):most])
		w.buf = w.buf[:len(w.buf)+got]
		var broken *brokenError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			w.ended = true
		case errors.As(err, &broken):
			w.ended, w.broken = true, broken.why
		default:
			return err
		}
	}
	return nil
}

// room makes place behind the bytes at hand, for some of those that are missing.
func (w *window) room(n int) {
	rest := len(w.buf) - w.used
	switch {
	case cap(w.buf) > 4*windowBytes && n <= windowBytes && rest <= windowBytes/2: // one long line was enough
		w.buf = append(make([]byte, 0, windowBytes), w.buf[w.used:]...)
	case w.used+n <= cap(w.buf) && len(w.buf) < cap(w.buf):
		return
	case rest < cap(w.buf)/2 || n <= cap(w.buf):
		copy(w.buf, w.buf[w.used:])
		w.buf = w.buf[:rest]
	default:
		w.buf = append(make([]byte, 0, max(2*cap(w.buf), windowBytes)), w.buf[w.used:]...)
	}
	w.used = 0
}

// skip uses up what comes before a position.
func (w *window) skip(to int64) error {
	for w.at < to {
		if err := w.fill(1); err != nil {
			return err
		}
		have := len(w.have())
		if have == 0 {
			return nil
		}
		w.use(int(min(int64(have), to-w.at)))
	}
	return nil
}
