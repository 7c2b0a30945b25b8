package protocol

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compress appends src, compressed as one frame or block, to dst. dst and src
// must not overlap. Levels are the fastest of each format. It is safe for
// concurrent use; writers are pooled. Errors: an encoding that does not exist,
// or more than 4 GiB for snappy.
func Compress(dst, src []byte, e Encoding) ([]byte, error) {
	switch e {
	case EncodingNone:
		return append(dst, src...), nil
	case EncodingGzip:
		return compressStream(&gzipWriters, dst, src)
	case EncodingZstd:
		enc := zstdEncoders.Get().(*zstd.Encoder)
		defer zstdEncoders.Put(enc)
		return enc.EncodeAll(src, dst), nil
	case EncodingLZ4:
		return compressStream(&lz4Writers, dst, src)
	case EncodingSnappy:
		n := snappy.MaxEncodedLen(len(src))
		if n < 0 {
			return dst, fmt.Errorf("couldn't compress %d bytes: a snappy block holds at most 4 GiB", len(src))
		}
		dst = slices.Grow(dst, n)
		return dst[:len(dst)+len(snappy.Encode(dst[len(dst):len(dst)+n], src))], nil
	}
	return dst, fmt.Errorf("couldn't compress: %v is no encoding", e)
}

var zstdEncoders = sync.Pool{New: func() any {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
	if err != nil {
		panic(err) // only for options out of range
	}
	return enc
}}

type resetWriter interface {
	io.WriteCloser
	Reset(w io.Writer)
}

var gzipWriters = sync.Pool{New: func() any {
	zw, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // only for a level out of range
	}
	return zw
}}

var lz4Writers = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}

func compressStream(pool *sync.Pool, dst, src []byte) ([]byte, error) {
	zw := pool.Get().(resetWriter)
	out := bytes.NewBuffer(dst)
	zw.Reset(out)
	if _, err := zw.Write(src); err != nil {
		return dst, err
	}
	if err := zw.Close(); err != nil {
		return dst, err
	}
	zw.Reset(io.Discard) // so that the pool does not keep dst
	pool.Put(zw)
	return out.Bytes(), nil
}
