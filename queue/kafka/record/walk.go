package record

import (
	"encoding/binary"
	"errors"
)

// walk is the reading of one set, and the memory that the next one uses again.
type walk struct {
	Result
	max    int64
	to     int64
	each   func(*Record) bool
	filter filter
	batch  batch
	rec    Record
	stream stream
	codecs codecs
	large  large
}

// errStop ends a walk whose caller has had enough.
var errStop = errors.New("stop")

func (w *walk) release() {
	w.each = nil
	w.batch = batch{}
	clear(w.rec.Headers)
	w.rec = Record{Headers: w.rec.Headers[:0]}
	w.stream.release()
	w.codecs.release()
	w.large = large{}
}

// set goes through the batches.
func (w *walk) set(rest []byte) {
	from, whole := w.Next, int64(len(rest))
	for len(rest) > 0 && w.Next < w.to {
		size, err := extent(rest)
		if err != nil {
			w.fail(&recordError{err: err}, rest)
			return
		}
		if size == 0 || size > int64(len(rest)) {
			if w.Next == from {
				w.Need = whole - int64(len(rest)) + max(size, headerSize)
			}
			return
		}
		if err := w.one(rest[:size], rest[size:]); err != nil {
			w.fail(err, rest)
			return
		}
		rest = rest[size:]
	}
}

// recordError is an error that ends before the batch does, or that leaves unknown
// where the batch ends (past 0).
type recordError struct {
	past int64
	err  error
}

func (e *recordError) Error() string { return e.err.Error() }

// fail says where the walk ended, unless its caller ended it.
func (w *walk) fail(err error, raw []byte) {
	if errors.Is(err, errStop) {
		return
	}
	e := &Error{Offset: w.Next, Past: w.batch.last + 1, Err: err}
	if len(raw) >= atSize {
		e.Base = int64(binary.BigEndian.Uint64(raw))
	}
	if len(raw) > atAttrs+1 {
		e.Codec = attributes(raw).String()
	}
	var r *recordError
	if errors.As(err, &r) {
		e.Past, e.Err = r.past, r.err
	}
	if e.Past <= e.Offset {
		e.Past = 0
	}
	w.Err = e
}

// one reads a whole batch; after is what follows it.
func (w *walk) one(raw, after []byte) error {
	b := &w.batch
	if err := b.parse(raw); err != nil {
		return &recordError{err: err}
	}
	if len(after) >= atSize {
		if next := int64(binary.BigEndian.Uint64(after)); next <= b.last {
			return &recordError{err: malformed("it ends at offset %d and the batch behind it begins at %d", b.last, next)}
		}
	}
	w.filter.reach(b.last)
	if b.base >= w.to {
		return w.stop()
	}
	switch {
	case b.control():
		return w.control(b)
	case b.last < w.Next:
		return nil // below what was asked for
	case w.filter.aborted(b):
		w.pass(b, &w.Aborted)
		return nil
	case b.magic < 2:
		return w.message(b)
	}
	return w.records(b)
}

// pass counts a batch from which nothing is handed out.
func (w *walk) pass(b *batch, reason *int64) {
	left := max(min(b.last+1, w.to)-w.Next, 0) // of its offsets, and those between it and the batch before
	gap := min(max(b.base-w.Next, 0), left)
	n := min(int64(b.count), left-gap)
	*reason += n
	w.Compacted += left - n
	w.Next += left
}

// close passes the offsets that a batch has behind its last record.
func (w *walk) close(b *batch) {
	if left := min(b.last+1, w.to) - w.Next; left > 0 {
		w.Compacted += left
		w.Next += left
	}
}

// stop ends a walk that came to something at or behind its end: nothing lies
// before it.
func (w *walk) stop() error {
	w.Compacted += w.to - w.Next
	w.Next = w.to
	return errStop
}

// give hands out a record.
func (w *walk) give(offset, time int64) error {
	w.Compacted += offset - w.Next
	w.Next = offset + 1
	w.Delivered++
	w.rec.Offset, w.rec.Time = offset, time
	if !w.each(&w.rec) {
		return errStop
	}
	return nil
}

// attributes is the codec that the header of a batch names.
func attributes(raw []byte) codec {
	if raw[atMagic] < 2 {
		return codec(raw[legacyAttrs] & codecBits)
	}
	return codec(raw[atAttrs+1] & codecBits)
}
