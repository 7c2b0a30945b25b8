package record

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// large is the memory of a record that is larger than Decoder.Max.
type large struct {
	key []byte
	out []byte // the value, compressed
	enc *zstd.Encoder
	max int64
}

// Write takes what the encoder puts out, until it is too much.
func (l *large) Write(p []byte) (int, error) {
	if int64(len(l.out)+len(p)) > l.max {
		return 0, tooLarge("a value that has more than %d bytes even compressed", l.max)
	}
	l.out = append(l.out, p...)
	return len(p), nil
}

// value takes n bytes from the stream and compresses them as they come.
func (l *large) value(s *stream, n, most int64) ([]byte, error) {
	l.out, l.max = l.out[:0], most
	if l.enc == nil {
		enc, err := zstd.NewWriter(l, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return nil, fmt.Errorf("couldn't compress a value of %d bytes: %w", n, err)
		}
		l.enc = enc
	}
	l.enc.Reset(l)
	for n > 0 {
		b, err := s.some(n)
		if err != nil {
			return nil, err
		}
		n -= int64(len(b))
		if _, err := l.enc.Write(b); err != nil {
			return nil, err
		}
	}
	if err := l.enc.Close(); err != nil {
		return nil, err
	}
	return l.out, nil
}

// keep takes n bytes from the stream and copies them out of its buffer.
func (l *large) keep(s *stream, n int64) ([]byte, error) {
	b, err := s.next(n)
	if err != nil {
		return nil, err
	}
	l.key = append(l.key[:0], b...)
	if l.key == nil {
		l.key = []byte{}
	}
	return l.key, nil
}

// beside is how much of a record that is larger than Max its key, and its headers,
// may have.
func (w *walk) beside() int64 { return w.max / 8 }

// oversize reads a record that is larger than Max, as record reads the others: in
// the order in which it comes out of the codec.
func (w *walk) oversize(b *batch, size, before int64) (int64, error) {
	s := &w.stream
	end := s.took + size
	time, delta, err := w.start()
	if err != nil {
		return 0, err
	}
	if err := b.follows(delta, before); err != nil {
		return 0, err
	}
	offset := b.base + delta
	if offset < w.Next {
		return delta, s.discard(end - s.took)
	}
	if offset >= w.to {
		return 0, w.stop()
	}
	if err := w.oversizeFields(end); err != nil {
		return 0, &recordError{offset + 1, err}
	}
	return delta, w.give(offset, b.time(b.baseTime+time))
}

// start reads what comes before the key.
func (w *walk) start() (time, delta int64, err error) {
	if _, err = w.stream.next(1); err != nil {
		return 0, 0, err
	}
	if time, err = w.stream.varint(); err != nil {
		return 0, 0, err
	}
	delta, err = w.stream.varint()
	return time, delta, err
}

// oversizeFields reads key, value and headers of a record that ends at a place of
// the stream.
func (w *walk) oversizeFields(end int64) error {
	s := &w.stream
	n, err := w.length(end)
	if err != nil {
		return err
	}
	if n > w.beside() {
		return tooLarge("a key of %d bytes (at most %d)", n, w.beside())
	}
	w.rec.Key = nil
	if n >= 0 {
		if w.rec.Key, err = w.large.keep(s, n); err != nil {
			return err
		}
	}
	if n, err = w.length(end); err != nil {
		return err
	}
	if err := w.oversizeValue(n); err != nil {
		return err
	}
	rest := end - s.took
	if rest > w.beside() {
		return tooLarge("headers of %d bytes (at most %d)", rest, w.beside())
	}
	b, err := s.next(rest)
	if err != nil {
		return err
	}
	return w.headers(&cursor{rest: b})
}

// oversizeValue wraps a value of n bytes, or none at all.
func (w *walk) oversizeValue(n int64) (err error) {
	w.rec.Value, w.rec.Wrapped, w.rec.Size = nil, false, max(n, 0)
	if n >= 0 {
		w.rec.Wrapped = true
		w.rec.Value, err = w.large.value(&w.stream, n, w.max)
	}
	return err
}

// length reads the length of a field of a record that ends at a place of the
// stream; -1 is no field.
func (w *walk) length(end int64) (int64, error) {
	n, err := w.stream.varint()
	if err != nil {
		return 0, err
	}
	if n < -1 || n > end-w.stream.took {
		return 0, malformed("the lengths inside a record do not add up to its own")
	}
	return n, nil
}
