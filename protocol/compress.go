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
		zw, err := pooled(&gzipWriters, openGzipWriter)
		if err != nil {
			return dst, err
		}
		return compressStream(&gzipWriters, zw, dst, src)
	case EncodingZstd:
		enc, err := pooled(&zstdEncoders, openZstdEncoder)
		if err != nil {
			return dst, err
		}
		defer zstdEncoders.Put(enc)
		return enc.EncodeAll(src, dst), nil
	case EncodingLZ4:
		zw, err := pooled(&lz4Writers, openLZ4Writer)
		if err != nil {
			return dst, err
		}
		return compressStream(&lz4Writers, zw, dst, src)
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

var zstdEncoders, gzipWriters, lz4Writers sync.Pool

func openZstdEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithZeroFrames(true))
}

func openGzipWriter() (*gzip.Writer, error) { return gzip.NewWriterLevel(nil, gzip.BestSpeed) }

// openLZ4Writer makes blocks smaller than the default of 4 MiB, which every reader
// has to have in memory.
func openLZ4Writer() (*lz4.Writer, error) {
	zw := lz4.NewWriter(nil)
	return zw, zw.Apply(lz4.BlockSizeOption(lz4.Block256Kb))
}

type resetWriter interface {
	io.WriteCloser
	Reset(w io.Writer)
}

func compressStream(pool *sync.Pool, zw resetWriter, dst, src []byte) ([]byte, error) {
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
