package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
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
	if cap(body)-len(body) > len(body)/8 {
		body = append(make([]byte, 0, len(body)), body...)
	}
	return body, nil
}

func tooLarge(bound int64, limit string, received int) error {
	return undecodable("%d bytes received become more than %d (limit %q)", received, bound, limit)
}

func decompressors(e Encoding, value []byte, bound int) ([]byte, error) {
	if len(value) == 0 {
		return nil, errors.New("the value is empty, not even a header")
	}
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
	return nil, fmt.Errorf("no such encoding")
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

var gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}

func gunzip(value []byte, bound int) ([]byte, error) {
	zr := gzipReaders.Get().(*gzip.Reader)
	defer gzipReaders.Put(zr)
	defer func() { _ = zr.Reset(emptyReader{}) }() // so that the pool does not keep value
	if err := zr.Reset(bytes.NewReader(value)); err != nil {
		return nil, err
	}
	claimed := 0
	if n := len(value); n >= 4 {
		claimed = int(le32(value, n-4) & (1<<31 - 1)) // ISIZE of RFC 1952: the size modulo 2^32
	}
	return readAll(zr, hint(claimed, len(value), bound), bound)
}

// emptyReader is also an io.ByteReader, so that no reader makes a buffer for it.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, io.EOF }
func (emptyReader) ReadByte() (byte, error)  { return 0, io.EOF }

var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(1<<31), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // only for options out of range
	}
	return d
}}

// unzstd gives the decoder exactly the memory it may use and, if the frames hold
// more, four times that.
func unzstd(value []byte, bound int) ([]byte, error) {
	const slack = 16 // the decoder copies in words and wants room for the last one
	d := zstdDecoders.Get().(*zstd.Decoder)
	defer zstdDecoders.Put(d)
	for size := hint(zstdClaim(value), len(value), bound); ; size = min(4*size, bound) {
		b, err := d.DecodeAll(value, make([]byte, 0, size+slack))
		switch {
		case err == nil && len(b) > bound:
			return nil, errTooLarge
		case err == nil:
			return b, nil
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, err
		case size == bound:
			return nil, errTooLarge
		}
	}
}

// zstdClaim is the content size the first frame claims, or 0.
func zstdClaim(value []byte) int {
	var h zstd.Header
	if h.Decode(value) != nil || !h.HasFCS || h.FrameContentSize > 1<<31-1 {
		return 0
	}
	return int(h.FrameContentSize)
}

var lz4Readers = sync.Pool{New: func() any { return lz4.NewReader(nil) }}

func unlz4(value []byte, bound int) ([]byte, error) {
	zr := lz4Readers.Get().(*lz4.Reader)
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

func unsnappy(value []byte, bound int) ([]byte, error) {
	if bytes.HasPrefix(value, []byte(snappyFramed)) {
		zr := snappyReaders.Get().(*s2.Reader)
		defer snappyReaders.Put(zr)
		defer zr.Reset(emptyReader{})
		zr.Reset(bytes.NewReader(value))
		return readAll(zr, hint(0, len(value), bound), bound)
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
