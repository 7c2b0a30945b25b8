package logfile

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// memory is what a reader needs as long as its file is open. Readers hand it on to
// each other: buffers and decompressors are larger than most files, and made anew for
// each they would cost more than what is done with them.
type memory struct {
	in     *bufio.Reader
	window []byte
	gzip   *gzip.Reader  // nil: none was needed so far
	zstd   *zstd.Decoder // the same
}

// storedAhead is how many stored bytes are asked for at a time.
const storedAhead = 64 << 10

// borrow is memory that nobody uses.
func (in *Input) borrow() *memory {
	if m, ok := in.spare.Get().(*memory); ok {
		return m
	}
	return &memory{in: bufio.NewReaderSize(nil, storedAhead)}
}

// giveBack lets the next reader have it. A decompressor that met broken bytes, and a
// window that a long line made large, are not worth keeping.
func (in *Input) giveBack(m *memory, window []byte, broken bool) {
	m.window = nil
	if cap(window) <= 4*windowBytes {
		m.window = window[:0]
	}
	m.in.Reset(nil)
	if broken {
		m.gzip, m.zstd = nil, nil
	}
	in.spare.Put(m)
}

// gunzip begins a gzip stream, whose first header is read.
func (m *memory) gunzip() (io.Reader, error) {
	if m.gzip != nil {
		return m.gzip, m.gzip.Reset(m.in)
	}
	z, err := gzip.NewReader(m.in)
	m.gzip = z
	return z, err
}

// unzstd begins a zstd stream.
func (m *memory) unzstd() (io.Reader, error) {
	if m.zstd != nil {
		return m.zstd, m.zstd.Reset(m.in)
	}
	z, err := zstd.NewReader(m.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeBuffersBelow(0))
	m.zstd = z
	return z, err
}
