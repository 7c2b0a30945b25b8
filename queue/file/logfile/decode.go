package logfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the memory that a zstd file may ask for to be decompressed: what
// levels up to 20 want. Files of `zstd --long` or --ultra -22 may want more.
const maxWindow = 32 << 20

const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// decoder is the decompressed bytes of a stored file.
type decoder struct {
	raw     *stored
	in      *bufio.Reader
	out     io.Reader
	name    string // of the compression; empty: none
	spoiled bool   // what is in memory met broken bytes
}

// newDecoder begins at the first byte. What is wrong with the compressed bytes shows
// when it is read from.
func newDecoder(raw *stored, m *memory) (*decoder, error) {
	m.in.Reset(raw)
	d := &decoder{raw: raw, in: m.in, out: m.in}
	first, err := d.in.Peek(len(zstdMagic))
	switch {
	case raw.err != nil:
		return nil, raw.err
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(first) >= len(gzipMagic) && string(first[:len(gzipMagic)]) == gzipMagic:
		d.name, d.out = "gzip", &lateGzip{memory: m}
	case string(first) == zstdMagic:
		z, err := m.unzstd()
		if err != nil {
			return nil, fmt.Errorf("couldn't prepare to decompress: %w", err)
		}
		d.name, d.out = "zstd", z
	}
	return d, nil
}

// seek goes to a position of a file that is not compressed.
func (d *decoder) seek(at int64) {
	d.raw.at.Store(at)
	d.in.Reset(d.raw)
}

// Read returns trouble with the stored bytes as it came, and what is wrong with the
// compressed ones as a *brokenError. A library that panics over them is the latter.
func (d *decoder) Read(p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, d.broken(fmt.Errorf("the decompressor panicked: %v", v))
		}
	}()
	n, err = d.out.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF) && d.raw.err == nil:
		return n, err
	case d.raw.err != nil:
		return n, d.raw.err
	}
	return n, d.broken(err)
}

func (d *decoder) broken(err error) error {
	d.spoiled = true
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("it asks for a window of more than %d MiB", maxWindow>>20)
	}
	return &brokenError{fmt.Sprintf("%s: %v, at or before byte %d of the file", d.name, err, d.raw.at.Load()-int64(d.in.Buffered()))}
}

// brokenError says that a compressed stream ends before its end.
type brokenError struct{ why string }

func (e *brokenError) Error() string { return e.why }

// lateGzip reads the first header with the first byte, so that a bad one is found
// where all else is. It is told of as truncation when a header is cut off.
type lateGzip struct {
	memory *memory
	out    io.Reader
}

func (g *lateGzip) Read(p []byte) (int, error) {
	if g.out == nil {
		out, err := g.memory.gunzip()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		g.out = out
	}
	return g.out.Read(p)
}
