package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

// codec is the compression of a batch as its attributes number it.
type codec int8

const (
	none codec = iota
	gzip
	snappy
	lz4
	zstandard
)

func (c codec) String() string {
	names := [...]string{"none", "gzip", "snappy", "lz4", "zstd"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec %d", int8(c))
}

// A zstd frame may ask for a window of 128 MiB, what the highest level of the
// reference encoder uses and Kafka's own consumer allows. A decoder that had to
// make more than 8 MiB of it is not kept.
const (
	mostWindow = 128 << 20
	keepWindow = 8 << 20
)

// codecs opens compressed bytes, one at a time, with decoders that are used again.
type codecs struct {
	in     bytes.Reader
	snappy blocks
	zstd   *zstd.Decoder
	wide   bool          // zstd made a large window
	other  io.ReadCloser // gzip or lz4
	out    failing       // the one that is open
}

// open returns the decompressed stream of raw. It ends the stream before.
func (c *codecs) open(kind codec, raw []byte, most int64) (io.Reader, error) {
	c.release()
	c.in.Reset(raw)
	c.out.codec = kind
	switch kind {
	case snappy:
		c.snappy.reset(raw, 2*most)
		c.out.from = &c.snappy
	case zstandard:
		if err := c.openZstd(raw); err != nil {
			return nil, unreadable(kind, err)
		}
		c.out.from = c.zstd
	case gzip, lz4:
		c.other = compress.Compression(kind).Codec().NewReader(&c.in)
		c.out.from = c.other
	default:
		return nil, fmt.Errorf("its compression is %w (codecs 0 to 4 are)", ErrUnsupported)
	}
	return &c.out, nil
}

func (c *codecs) openZstd(raw []byte) error {
	var h zstd.Header
	c.wide = h.Decode(raw) == nil && h.WindowSize > keepWindow
	if c.zstd != nil {
		return c.zstd.Reset(&c.in)
	}
	d, err := zstd.NewReader(&c.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(mostWindow), zstd.WithDecodeBuffersBelow(0))
	c.zstd = d
	return err
}

// release ends the stream and lets go of its bytes.
func (c *codecs) release() {
	if c.other != nil {
		_ = c.other.Close() // nothing of it was written
		c.other = nil
	}
	if c.wide {
		c.zstd.Close()
		c.zstd, c.wide = nil, false
	}
	if c.zstd != nil {
		_ = c.zstd.Reset(nil) // the only error is that there is no input
	}
	c.snappy.release()
	c.out = failing{}
	c.in.Reset(nil)
}

// failing names the codec in what a decompressor says.
type failing struct {
	codec codec
	from  io.Reader
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unreadable(f.codec, err)
	}
	return n, err
}

func unreadable(c codec, err error) error {
	class := ErrMalformed
	if errors.Is(err, ErrTooLarge) || errors.Is(err, zstd.ErrWindowSizeExceeded) {
		class = ErrTooLarge
	}
	return fmt.Errorf("couldn't decompress %v: %w: %w", c, class, err)
}
