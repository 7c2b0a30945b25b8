package record

import (
	"errors"
	"io"
)

// window is how much of a compressed batch is decompressed at a time, and keepMost
// how large a buffer may be that is kept for the next batch.
const (
	window   = 128 << 10
	keepMost = 1 << 20
)

// stream hands out the bytes of a batch in pieces of any length, each in one
// slice. Of an uncompressed batch the slices lie in the batch; of a compressed one
// they lie in a buffer and are valid until the next call.
type stream struct {
	src  io.Reader // nil: rest is all there is
	rest []byte    // bytes there are and that were not taken
	buf  []byte    // whole buffer, kept between batches
	took int64     // bytes taken so far
}

func (s *stream) over(raw []byte)        { s.src, s.rest, s.took = nil, raw, 0 }
func (s *stream) decompress(r io.Reader) { s.src, s.rest, s.took = r, s.buf[:0], 0 }

// release lets go of the batch, and of a buffer that grew for an unusual record.
func (s *stream) release() {
	s.src, s.rest = nil, nil
	if cap(s.buf) > keepMost {
		s.buf = nil
	}
}

// next takes n bytes.
func (s *stream) next(n int64) ([]byte, error) {
	if int64(len(s.rest)) < n {
		if err := s.fill(n); err != nil {
			return nil, err
		}
	}
	b := s.rest[:n:n]
	s.rest = s.rest[n:]
	s.took += n
	return b, nil
}

// fill reads until n bytes are there.
func (s *stream) fill(n int64) error {
	for int64(len(s.rest)) < n {
		if err := s.read(n); err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// read brings at least one more byte. The buffer grows towards n only when it is
// full, so that a length that lies costs nothing but twice what really came.
func (s *stream) read(n int64) error {
	if s.src == nil {
		return io.EOF
	}
	s.room(n)
	for range 100 {
		have := len(s.rest)
		m, err := s.src.Read(s.rest[have:cap(s.rest)])
		s.rest = s.rest[:have+m]
		switch {
		case m > 0:
			return nil // an error will come again
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// room makes space behind rest, by moving it to the front of the buffer; only a
// buffer that is full grows.
func (s *stream) room(n int64) {
	whole := int64(cap(s.buf))
	free := len(s.rest) < cap(s.rest)
	switch {
	case free && (n <= int64(cap(s.rest)) || int64(cap(s.rest)) == whole):
		return
	case whole == 0:
		s.buf = make([]byte, 0, window)
	case int64(len(s.rest)) == whole:
		s.buf = make([]byte, 0, min(2*whole, max(n, whole+window)))
	}
	s.rest = append(s.buf[:0], s.rest...)
}

// some takes between 1 and n bytes, what is there.
func (s *stream) some(n int64) ([]byte, error) {
	if len(s.rest) == 0 {
		if err := s.read(1); err != nil {
			return nil, unexpected(err)
		}
	}
	return s.next(min(n, int64(len(s.rest))))
}

func (s *stream) discard(n int64) error {
	for n > 0 {
		b, err := s.some(n)
		if err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// varint takes a number in the zigzag coding of protocol buffers.
func (s *stream) varint() (int64, error) {
	for {
		v, n := varint(s.rest)
		if n > 0 {
			s.rest = s.rest[n:]
			s.took += int64(n)
			return v, nil
		}
		if n < 0 {
			return 0, errVarint
		}
		if err := s.read(int64(len(s.rest)) + 1); err != nil {
			return 0, unexpected(err)
		}
	}
}

// more reports whether anything is left. If not, the codec has verified what it
// keeps at the end of its stream.
func (s *stream) more() (bool, error) {
	if len(s.rest) > 0 {
		return true, nil
	}
	err := s.read(1)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// end is an error if anything is left.
func (s *stream) end() error {
	more, err := s.more()
	if err == nil && more {
		return malformed("bytes follow its last record")
	}
	return err
}

// unexpected is the error of an end where there should be more.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return malformed("it ends inside a record")
	}
	return err
}
