package file

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/protocol"
)

// errForeign says that a file holds something else than we would have written:
// it must not be cut, as what is in it may be somebody's only copy.
var errForeign = errors.New("not what this flusher writes")

// scanLimit is the longest compressed file that is read to find its last whole
// Flush, as that means decompressing all of it.
const scanLimit = 64 << 20

// wholeLength is how many bytes from the beginning are whole Flushes. What is
// behind was torn by a crash.
func wholeLength(r io.ReaderAt, size int64, l *layout) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	switch {
	case l.encoding != protocol.EncodingNone && size > scanLimit:
		return 0, fmt.Errorf("%w in this run, and too long to look for its end", errForeign)
	case l.encoding == protocol.EncodingZstd:
		return wholeZstd(r, size)
	case l.encoding == protocol.EncodingGzip:
		return wholeGzip(r, size)
	case l.frames:
		return wholeFrames(r, size)
	}
	return wholeLines(r, size)
}

// wholeLines finds the last end of a line, from behind.
func wholeLines(r io.ReaderAt, size int64) (int64, error) {
	var first [1]byte
	if _, err := r.ReadAt(first[:], 0); err != nil {
		return 0, err
	}
	if first[0] != '{' {
		return unwritten(r, 0, size, errors.New("no JSON object"))
	}
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		begin := max(end-int64(len(buf)), 0)
		chunk := buf[:end-begin]
		if _, err := r.ReadAt(chunk, begin); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return begin + int64(i) + 1, nil
		}
		end = begin
	}
	return 0, nil
}

func wholeFrames(r io.ReaderAt, size int64) (int64, error) {
	fr := protocol.NewFrameReader(io.NewSectionReader(r, 0, size), 1<<31-1)
	for {
		_, err := fr.Next()
		var corrupt *protocol.CorruptFrameError
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, protocol.ErrTorn):
			return fr.Offset(), nil
		case errors.As(err, &corrupt):
			return 0, fmt.Errorf("%w: %w", errForeign, err)
		default:
			return 0, err
		}
	}
}

const (
	gzipMagic = "\x1f\x8b"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

func wholeGzip(r io.ReaderAt, size int64) (int64, error) {
	section := io.NewSectionReader(r, 0, size)
	in := bufio.NewReader(section)
	var whole int64
	zr := new(gzip.Reader)
	for whole < size {
		if !begins(r, whole, size, gzipMagic) {
			return unwritten(r, whole, size, errors.New("no gzip member"))
		}
		err := zr.Reset(in)
		if err == nil {
			zr.Multistream(false)
			_, err = io.Copy(io.Discard, zr)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return whole, nil
		case err != nil:
			return 0, fmt.Errorf("%w: the member at byte %d: %w", errForeign, whole, err)
		}
		at, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return 0, err
		}
		whole = at - int64(in.Buffered())
	}
	return whole, nil
}

// wholeZstd finds the frames by their headers and decompresses them, as a frame
// of the right length may still be one whose pages were never written.
func wholeZstd(r io.ReaderAt, size int64) (int64, error) {
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return 0, err
	}
	defer zr.Close()
	var whole int64
	for whole < size {
		if !begins(r, whole, size, zstdMagic) {
			return unwritten(r, whole, size, errors.New("no zstd frame"))
		}
		end, err := zstdFrame(r, whole, size)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return whole, nil
		}
		if err == nil {
			if err = zr.Reset(io.NewSectionReader(r, whole, end-whole)); err == nil {
				_, err = io.Copy(io.Discard, zr)
			}
		}
		if err != nil {
			return 0, fmt.Errorf("%w: the frame at byte %d: %w", errForeign, whole, err)
		}
		whole = end
	}
	return whole, nil
}

// begins says that what is at an offset begins like a member or frame, as far as
// the file goes.
func begins(r io.ReaderAt, at, size int64, magic string) bool {
	magic = magic[:min(int64(len(magic)), size-at)]
	buf := make([]byte, len(magic))
	_, err := r.ReadAt(buf, at)
	return (err == nil || errors.Is(err, io.EOF)) && string(buf) == magic
}

// zstdFrame is where the frame that begins at an offset ends. Format: RFC 8878,
// section 3.1.1.
func zstdFrame(r io.ReaderAt, at, size int64) (int64, error) {
	var buf [zstd.HeaderMaxSize]byte
	n, err := r.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	var h zstd.Header
	if err := h.Decode(buf[:n]); err != nil {
		return 0, err
	}
	at += int64(h.HeaderSize)
	for last := false; !last; {
		if at, last, err = zstdBlock(r, at, size); err != nil {
			return 0, err
		}
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > size {
		return 0, io.ErrUnexpectedEOF
	}
	return at, nil
}

// zstdBlock is where a block ends, and whether it is the last of its frame.
func zstdBlock(r io.ReaderAt, at, size int64) (end int64, last bool, err error) {
	if at+3 > size {
		return 0, false, io.ErrUnexpectedEOF
	}
	var head [4]byte
	if _, err := r.ReadAt(head[:3], at); err != nil {
		return 0, false, err
	}
	v := binary.LittleEndian.Uint32(head[:])
	length := int64(v >> 3)
	switch v >> 1 & 3 {
	case 1: // one byte, repeated
		length = 1
	case 3:
		return 0, false, errors.New("a block of the reserved type")
	}
	return at + 3 + length, v&1 == 1, nil
}

// unwritten tells pages that a lost power supply left as zeros, which are torn,
// from anything else.
func unwritten(r io.ReaderAt, whole, size int64, why error) (int64, error) {
	in := bufio.NewReader(io.NewSectionReader(r, whole, size-whole))
	for {
		c, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, err
		}
		if c != 0 {
			return 0, fmt.Errorf("%w: at byte %d: %w", errForeign, whole, why)
		}
	}
}
