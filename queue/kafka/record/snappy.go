package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	block "github.com/klauspost/compress/snappy"
)

// snappy-java's stream, which Kafka's producers write: a header of 16 bytes, then
// blocks, each with its length before it. Others write one block and no header.
const (
	xerialMagic  = "\x82SNAPPY\x00"
	xerialHeader = 16
)

// most a snappy block can grow: a copy of 64 bytes takes three.
const snappyRatio = 22

// blocks is the decompressed stream of snappy blocks, one in memory at a time.
type blocks struct {
	in     []byte
	framed bool
	most   int64
	out    []byte // rest of the block
	buf    []byte // its memory
}

func (s *blocks) reset(raw []byte, most int64) {
	s.in, s.out, s.most = raw, nil, most
	s.framed = len(raw) >= xerialHeader && bytes.HasPrefix(raw, []byte(xerialMagic))
	if s.framed {
		s.in = raw[xerialHeader:]
	}
}

func (s *blocks) release() {
	s.in, s.out = nil, nil
	if cap(s.buf) > keepMost {
		s.buf = nil
	}
}

func (s *blocks) Read(p []byte) (int, error) {
	for len(s.out) == 0 {
		if len(s.in) == 0 {
			return 0, io.EOF
		}
		if err := s.decode(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// decode decompresses the next block.
func (s *blocks) decode() error {
	raw, err := s.block()
	if err != nil {
		return err
	}
	size, err := block.DecodedLen(raw)
	switch {
	case err != nil:
		return err
	case int64(size) > int64(len(raw))*snappyRatio:
		return fmt.Errorf("a block of %d bytes says that it holds %d", len(raw), size)
	case int64(size) > s.most:
		return fmt.Errorf("%w: a block of %d bytes (at most %d)", ErrTooLarge, size, s.most)
	case size > cap(s.buf):
		s.buf = make([]byte, max(size, window))
	}
	s.out, err = block.Decode(s.buf[:cap(s.buf)], raw)
	return err
}

// block takes the next block from the input.
func (s *blocks) block() ([]byte, error) {
	if !s.framed {
		raw := s.in
		s.in = nil
		return raw, nil
	}
	if len(s.in) < 4 {
		return nil, errors.New("it ends inside the length of a block")
	}
	n := int64(binary.BigEndian.Uint32(s.in))
	if n > int64(len(s.in)-4) {
		return nil, fmt.Errorf("a block of %d bytes where %d are left", n, len(s.in)-4)
	}
	raw := s.in[4 : 4+n]
	s.in = s.in[4+n:]
	return raw, nil
}
