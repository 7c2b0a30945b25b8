package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A size that a value claims for itself is believed only while it is within the
// limits, and only as far as plausible: memory grows with what was decompressed.
const (
	plausible  = 32 // times the received size that is allocated at once
	firstBytes = 4 << 10
)

var errTooLarge = errors.New("too large")

// decompress returns value itself for EncodingNone.
func decompress(value []byte, e Encoding, lim *Limits) ([]byte, error) {
	if e == EncodingNone {
		if int64(len(value)) > lim.Decompressed {
			return nil, tooLarge(lim.Decompressed, "decompressed", len(value))
		}
		return value, nil
	}
	bound, name := lim.decompressed(len(value))
	body, err := decompressors(e, value, int(bound))
	switch {
	case errors.Is(err, errTooLarge):
		return nil, tooLarge(bound, name, len(value))
	case err != nil:
		return nil, undecodable("%v: %v", e, err)
	}
	return fitted(body), nil
}

func tooLarge(bound int64, limit string, received int) error {
	return undecodable("%d bytes received become more than %d (limit %q)", received, bound, limit)
}

// decompressors contains panics of the libraries: the bytes come from outside,
// and one message must not end the process.
func decompressors(e Encoding, value []byte, bound int) (body []byte, err error) {
	if len(value) == 0 {
		return nil, errors.New("the value is empty, not even a header")
	}
	defer func() {
		if p := recover(); p != nil {
			body, err = nil, fmt.Errorf("the decompressor panicked: %v", p)
		}
	}()
	switch e {
	case EncodingGzip:
		return gunzip(value, bound)
	case EncodingZstd:
		return unzstd(value, bound)
	case EncodingLZ4:
		return unlz4(value, bound)
	case EncodingSnappy:
		return unsnappy(value, bound)
	}
	return nil, errors.New("no such encoding")
}

// hint is how much to allocate for a value that claims a size (or 0).
func hint(claimed, received, bound int) int {
	if claimed <= 0 {
		claimed = received * 4
	}
	return max(min(claimed, received*plausible, bound), firstBytes)
}

// readAll reads to the end and fails above bound bytes.
func readAll(r io.Reader, size, bound int) ([]byte, error) {
	b := make([]byte, 0, size+1) // the end shows only where there is room for one byte more
	for {
		if len(b) > bound {
			return nil, errTooLarge
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(2*cap(b), bound+1)), b...)
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			if len(b) > bound {
				return nil, errTooLarge
			}
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// pooled takes from a pool or opens. Nothing goes back after a panic.
func pooled[T any](pool *sync.Pool, open func() (T, error)) (T, error) {
	if v, ok := pool.Get().(T); ok {
		return v, nil
	}
	return open()
}

// gzipReader owns what it reads from: emptied, it holds no value, whatever the
// library keeps of it.
type gzipReader struct {
	src bytes.Reader
	zr  gzip.Reader
}

var gzipReaders = sync.Pool{New: func() any { return new(gzipReader) }}

func gunzip(value []byte, bound int) ([]byte, error) {
	r, _ := gzipReaders.Get().(*gzipReader)
	r.src.Reset(value)
	if err := r.zr.Reset(&r.src); err != nil {
		return nil, err
	}
	claimed := 0
	if n := len(value); n >= 4 {
		claimed = int(le32(value, n-4) & (1<<31 - 1)) // ISIZE of RFC 1952: the size modulo 2^32
	}
	b, err := readAll(&r.zr, hint(claimed, len(value), bound), bound)
	r.src.Reset(nil)
	gzipReaders.Put(r)
	return b, err
}

// emptyReader is also an io.ByteReader, so that no reader makes a buffer for it.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyReader) ReadByte() (byte, error)  { return 0, io.EOF }

var zstdWhole, zstdStream sync.Pool

// openZstdWhole makes a decoder that decodes into memory it is given and takes
// no more.
func openZstdWhole() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(1<<31), zstd.WithDecodeAllCapLimit(true))
}

// openZstdStream makes a decoder that keeps a window, as large as the frame
// claims: 8 MiB is what RFC 8878 asks readers to support.
func openZstdStream() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(1<<31), zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecodeBuffersBelow(0))
}

// unzstd decodes at once what claims a plausible size, and as a stream what does
// not, or turns out to be more than its first frame.
func unzstd(value []byte, bound int) ([]byte, error) {
	claimed := zstdClaim(value)
	if claimed > bound {
		return nil, errTooLarge
	}
	if claimed >= 0 && claimed <= hint(claimed, len(value), bound) {
		if b, err := unzstdWhole(value, claimed); err == nil && len(b) <= bound {
			return b, nil
		}
	}
	d, err := pooled(&zstdStream, openZstdStream)
	if err != nil {
		return nil, err
	}
	if err := d.Reset(bytes.NewReader(value)); err != nil {
		return nil, err
	}
	b, err := readAll(d, hint(claimed, len(value), bound), bound)
	_ = d.Reset(nil)
	zstdStream.Put(d)
	return b, err
}

func unzstdWhole(value []byte, claimed int) ([]byte, error) {
	const slack = 16 // the decoder copies in words and wants room for the last one
	d, err := pooled(&zstdWhole, openZstdWhole)
	if err != nil {
		return nil, err
	}
	b, err := d.DecodeAll(value, make([]byte, 0, claimed+slack))
	if claimed > zstdKeep {
		forgetMessage(d)
	}
	zstdWhole.Put(d)
	return b, err
}

// zstdKeep is how large a message may be that a pooled decoder still refers to:
// so much memory per CPU nobody is charged for.
const zstdKeep = 64 << 10

// tinyFrame has a block with everything a block can have that refers to input:
// Huffman coded literals and sequences.
var tinyFrame = sync.OnceValues(func() ([]byte, error) {
	text := make([]byte, 400)
	for i := range text {
		text[i] = "eeeeettttaaoonisr "[i*i*i%257%18] // skewed letters without repetition
	}
	return Compress(nil, slices.Concat(text, text), EncodingZstd)
})

// forgetMessage decodes something small: a decoder refers to input and output of
// its last block until the next one.
func forgetMessage(d *zstd.Decoder) {
	if frame, err := tinyFrame(); err == nil {
		_, _ = d.DecodeAll(frame, make([]byte, 0, 1<<10))
	}
}

// zstdClaim is the content size the first frame claims, or -1.
func zstdClaim(value []byte) int {
	var h zstd.Header
	if h.Decode(value) != nil || !h.HasFCS {
		return -1
	}
	return int(min(h.FrameContentSize, 1<<31-1))
}

var lz4Readers = sync.Pool{New: func() any { return lz4.NewReader(nil) }}

func unlz4(value []byte, bound int) ([]byte, error) {
	zr, _ := lz4Readers.Get().(*lz4.Reader)
	zr.Reset(bytes.NewReader(value))
	b, err := readAll(zr, hint(0, len(value), bound), bound)
	if err == nil { // after an error its buffers are in doubt
		zr.Reset(emptyReader{})
		lz4Readers.Put(zr)
	}
	return b, err
}

const snappyFramed = "\xff\x06\x00\x00sNaPpY" // no legal block begins so

var snappyReaders = sync.Pool{New: func() any { return snappy.NewReader(emptyReader{}) }}

func unsnappyFramed(value []byte, bound int) ([]byte, error) {
	zr, _ := snappyReaders.Get().(*snappy.Reader)
	zr.Reset(bytes.NewReader(value))
	b, err := readAll(zr, hint(0, len(value), bound), bound)
	zr.Reset(emptyReader{})
	snappyReaders.Put(zr)
	return b, err
}

func unsnappy(value []byte, bound int) ([]byte, error) {
	if bytes.HasPrefix(value, []byte(snappyFramed)) {
		return unsnappyFramed(value, bound)
	}
	// The densest element of a block copies 64 bytes and takes 3.
	const densest = 22
	claimed, err := snappy.DecodedLen(value)
	switch {
	case err != nil:
		return nil, err
	case claimed > bound:
		return nil, errTooLarge
	case claimed > len(value)*densest:
		return nil, fmt.Errorf("%d bytes cannot hold the %d they claim", len(value), claimed)
	}
	return snappy.Decode(make([]byte, 0, claimed), value)
}
