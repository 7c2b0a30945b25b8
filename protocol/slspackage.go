package protocol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/pierrec/lz4/v4"
)

// Tags of SlsLogPackage and SlsLogPackageList.
const (
	tagData         = 1<<3 | wireBytes
	tagRawSize      = 2<<3 | wireVarint
	tagCompressType = 3<<3 | wireVarint

	tagPackages = 1<<3 | wireBytes
)

// The values of compress_type. Where it is missing it is LZ4.
const (
	packageNone = iota
	packageDeflate
	packageLZ4
	packageZstd
)

// slsPackage is a LogGroup as the collectors' C++ side packs it.
type slsPackage struct {
	data     []byte
	rawSize  int64 // after decompression; -1: not said
	compress uint64
}

// unpack makes a LogGroupList of the groups in a package or a list of them, or says
// what is wrong.
func unpack(b []byte, f Format, lim *Limits) (out []byte, wrong string) {
	u := unpacker{lim: *lim}
	switch {
	case f == FormatPackageList:
		wrong = u.list(b)
	case len(b) > 0:
		wrong = u.add(b)
	}
	return fitted(u.out), wrong
}

// fitted is b with room for at most an eighth more.
func fitted(b []byte) []byte {
	if cap(b)-len(b) > len(b)/8 {
		return append(make([]byte, 0, len(b)), b...)
	}
	return b
}

type unpacker struct {
	lim Limits
	out []byte
	n   int
}

func (u *unpacker) list(b []byte) (wrong string) {
	for i := 0; i < len(b); {
		tag, next := uvarint(b, i)
		if wrong = wrongTag(tag, next); wrong != "" {
			return wrong
		}
		if tag != tagPackages {
			if tag>>3 == 1 {
				return "packages has a foreign wire type"
			}
			if i, wrong = skip(b, next, tag, 0); wrong != "" {
				return wrong
			}
			continue
		}
		start, end := span(b, next)
		if end < 0 {
			return wrongLength(start)
		}
		if wrong = u.add(b[start:end]); wrong != "" {
			return fmt.Sprintf("package %d: %s", u.n, wrong)
		}
		i = end
	}
	return ""
}

// add appends the group of one package.
func (u *unpacker) add(b []byte) (wrong string) {
	p, wrong := readPackage(b)
	if wrong != "" {
		return wrong
	}
	if u.n++; u.n > u.lim.Groups {
		return fmt.Sprintf("more LogGroups than the limit of %d", u.lim.Groups)
	}
	bound, name := u.lim.decompressed(len(p.data))
	if left := u.lim.Decompressed - int64(len(u.out)); left < bound {
		bound, name = left, "decompressed"
	}
	group, err := p.open(int(bound))
	switch {
	case errors.Is(err, errTooLarge):
		return fmt.Sprintf("%d bytes become more than %d (limit %q)", len(p.data), bound, name)
	case err != nil:
		return err.Error()
	case p.rawSize >= 0 && p.rawSize != int64(len(group)):
		return fmt.Sprintf("uncompress_size is %d, the LogGroup has %d bytes", p.rawSize, len(group))
	}
	if u.out == nil {
		u.out = make([]byte, 0, sizeString(len(group)))
	}
	u.out = binary.AppendUvarint(append(u.out, tagGroups), uint64(len(group)))
	u.out = append(u.out, group...)
	return ""
}

func readPackage(b []byte) (p slsPackage, wrong string) {
	p.rawSize, p.compress = -1, packageLZ4
	has := false
	for i := 0; i < len(b); {
		tag, next := uvarint(b, i)
		if wrong = wrongTag(tag, next); wrong != "" {
			return p, wrong
		}
		switch tag {
		case tagData:
			start, end := span(b, next)
			if end < 0 {
				return p, wrongLength(start)
			}
			p.data, i, has = b[start:end], end, true
		case tagRawSize, tagCompressType:
			v, end := uvarint(b, next)
			if end < 0 {
				return p, "a varint is cut off or longer than 64 bits"
			}
			if i = end; tag == tagRawSize {
				p.rawSize = int64(uint32(v))
			} else {
				p.compress = v
			}
		default:
			if tag>>3 <= 3 {
				return p, fmt.Sprintf("field %d has wire type %d, which the .proto does not give it", tag>>3, tag&7)
			}
			if i, wrong = skip(b, next, tag, 0); wrong != "" {
				return p, wrong
			}
		}
	}
	if !has {
		return p, "it has no data"
	}
	return p, ""
}

// open decompresses the data to at most bound bytes.
func (p *slsPackage) open(bound int) (group []byte, err error) {
	if len(p.data) == 0 {
		return nil, nil
	}
	if p.rawSize > int64(bound) || p.compress == packageNone && len(p.data) > bound {
		return nil, errTooLarge
	}
	defer func() { // as for values: the bytes come from outside
		if v := recover(); v != nil {
			group, err = nil, fmt.Errorf("the decompressor panicked: %v", v)
		}
	}()
	switch p.compress {
	case packageNone:
		return p.data, nil
	case packageDeflate:
		return inflate(p.data, int(max(p.rawSize, 0)), bound)
	case packageLZ4:
		return p.openLZ4()
	case packageZstd:
		return unzstd(p.data, bound)
	}
	return nil, fmt.Errorf("compress_type %d is not known: NONE is 0, DEFLATE 1, LZ4 2, ZSTD 3", p.compress)
}

// lz4Densest is how many bytes one byte of an LZ4 block can become.
const lz4Densest = 255

// openLZ4 reads a block, which does not say itself how large it becomes.
func (p *slsPackage) openLZ4() ([]byte, error) {
	switch {
	case p.rawSize < 0:
		return nil, errors.New("an LZ4 package needs uncompress_size")
	case p.rawSize > int64(len(p.data))*lz4Densest:
		return nil, fmt.Errorf("%d bytes of LZ4 cannot hold the %d that uncompress_size says", len(p.data), p.rawSize)
	}
	group := make([]byte, p.rawSize)
	n, err := lz4.UncompressBlock(p.data, group)
	if err != nil {
		return nil, fmt.Errorf("lz4: %w", err)
	}
	return group[:n], nil
}

// inflate reads zlib (RFC 1950) or, where its header is missing, bare deflate.
func inflate(data []byte, claimed, bound int) ([]byte, error) {
	var r io.Reader = flate.NewReader(bytes.NewReader(data))
	if len(data) > 2 && data[0]&0x0f == 8 && (int(data[0])<<8|int(data[1]))%31 == 0 {
		z, err := zlib.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("deflate: %w", err)
		}
		r = z
	}
	b, err := readAll(r, hint(claimed, len(data), bound), bound)
	if err != nil && !errors.Is(err, errTooLarge) {
		return nil, fmt.Errorf("deflate: %w", err)
	}
	return b, err
}
