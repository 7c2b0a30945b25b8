package wire

import "sync"

// buffers are for batches and for requests with batches in them. One is used again only
// when the broker has answered: before, a connection may be writing it, even if whoever
// asked has gone.
var buffers sync.Pool

// leastBuffer spares most batches that are larger than the last one a new buffer.
const leastBuffer = 256 << 10

// buffer is empty and has room for n bytes.
func buffer(n int) []byte {
	if b, ok := buffers.Get().(*[]byte); ok && cap(*b) >= n {
		return (*b)[:0]
	}
	return make([]byte, 0, max(n, leastBuffer))
}

// recycle leaves what is larger than pooled to the collector.
func recycle(b []byte) {
	if cap(b) >= leastBuffer && cap(b) <= pooled {
		buffers.Put(&b)
	}
}

// reserve moves what is encoded so far into a buffer with room for n more bytes.
func (e *encoder) reserve(n int) { e.b = append(buffer(len(e.b)+n), e.b...) }
