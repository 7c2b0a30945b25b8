package elasticsearch

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
)

// buffer is the bytes of a request, used again when nobody reads them any more: the
// transport may read a body a little longer than its request lasts. One that is not
// dropped by everybody is garbage.
type buffer struct {
	b    []byte
	refs atomic.Int32
}

var buffers = sync.Pool{New: func() any { return new(buffer) }}

// keepUpTo keeps an unusual batch from staying for ever.
const keepUpTo = 16 << 20

// newBuffer is an empty one with one who holds it.
func newBuffer() *buffer {
	b := buffers.Get().(*buffer)
	b.b = b.b[:0]
	b.refs.Store(1)
	return b
}

func (b *buffer) hold() { b.refs.Add(1) }

func (b *buffer) drop() {
	if b.refs.Add(-1) == 0 && cap(b.b) <= keepUpTo {
		buffers.Put(b)
	}
}

// body reads a part of the buffer, which it holds until it is closed.
func (b *buffer) body(part []byte) io.ReadCloser {
	b.hold()
	r := &body{of: b}
	r.Reset(part)
	return r
}

type body struct {
	bytes.Reader
	of   *buffer
	once sync.Once
}

func (r *body) Close() error {
	r.once.Do(r.of.drop)
	return nil
}
