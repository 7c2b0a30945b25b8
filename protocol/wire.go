package protocol

import (
	"math/bits"
	"unsafe"
)

// Tags as they stand on the wire: field number * 8 + wire type. Each is one byte.
const (
	tagTime     = 1<<3 | wireVarint
	tagContents = 2<<3 | wireBytes
	tagValues   = 3<<3 | wireBytes
	tagTimeNs   = 4<<3 | wireFixed32

	tagKey   = 1<<3 | wireBytes
	tagValue = 2<<3 | wireBytes

	tagLogs        = 1<<3 | wireBytes
	tagCategory    = 2<<3 | wireBytes
	tagTopic       = 3<<3 | wireBytes
	tagSource      = 4<<3 | wireBytes
	tagMachineUUID = 5<<3 | wireBytes
	tagLogTags     = 6<<3 | wireBytes

	tagGroups = 1<<3 | wireBytes
)

const (
	wireVarint     = 0
	wireFixed64    = 1
	wireBytes      = 2
	wireStartGroup = 3
	wireEndGroup   = 4
	wireFixed32    = 5
)

const (
	maxFieldNumber = 1<<29 - 1
	maxGroupDepth  = 64 // of unknown groups within each other
)

// uvarint reads a varint at b[i:] and returns the index behind it, or -1 if it
// is cut off or does not fit 64 bits.
func uvarint(b []byte, i int) (uint64, int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return uvarintSlow(b, i)
}

func uvarintSlow(b []byte, i int) (uint64, int) {
	var v uint64
	for shift := uint(0); i < len(b); shift += 7 {
		c := b[i]
		i++
		if shift == 63 && c > 1 {
			return 0, -1
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i
		}
	}
	return 0, -1
}

// span reads a length at b[i:] and returns where its bytes begin and end. Both
// are -1 if the length cannot be read; an end below 0 alone says that the bytes
// go beyond the end of b.
func span(b []byte, i int) (start, end int) {
	n, start := uvarint(b, i)
	switch {
	case start < 0:
		return -1, -1
	case n > uint64(len(b)-start):
		return start, -1
	}
	return start, start + int(n)
}

// skip passes over the value of a field whose tag was read, and returns the
// index behind it and what is wrong, if anything; then the index is where.
func skip(b []byte, i int, tag uint64, depth int) (next int, wrong string) {
	switch tag & 7 {
	case wireVarint:
		if _, next = uvarint(b, i); next < 0 {
			return i, "a varint is cut off or longer than 64 bits"
		}
		return next, ""
	case wireFixed64:
		return fixed(b, i, 8)
	case wireFixed32:
		return fixed(b, i, 4)
	case wireBytes:
		start, end := span(b, i)
		if end < 0 {
			return i, wrongLength(start)
		}
		return end, ""
	case wireStartGroup:
		return skipGroup(b, i, tag>>3, depth+1)
	case wireEndGroup:
		return i, "a group ends that did not begin"
	}
	return i, "an unknown wire type"
}

func skipGroup(b []byte, i int, field uint64, depth int) (next int, wrong string) {
	if depth > maxGroupDepth {
		return i, "groups nest too deep"
	}
	for {
		at := i
		tag, i2 := uvarint(b, i)
		if wrong := wrongTag(tag, i2); wrong != "" {
			return at, wrong
		}
		i = i2
		if tag&7 == wireEndGroup {
			if tag>>3 != field {
				return at, "another group ends than began"
			}
			return i, ""
		}
		if i, wrong = skip(b, i, tag, depth); wrong != "" {
			return i, wrong
		}
	}
}

func fixed(b []byte, i, n int) (next int, wrong string) {
	if len(b)-i < n {
		return i, "a fixed-size value is cut off"
	}
	return i + n, ""
}

// wrongTag says what is wrong with a tag; next is what uvarint returned with it.
func wrongTag(tag uint64, next int) string {
	switch {
	case next < 0:
		return "a field tag is cut off or longer than 64 bits"
	case tag>>3 == 0 || tag>>3 > maxFieldNumber:
		return "a field number is out of range"
	}
	return ""
}

// wrongLength explains an end below 0 of span.
func wrongLength(start int) string {
	if start < 0 {
		return "a length is cut off or longer than 64 bits"
	}
	return "a length goes beyond the end"
}

// le32 reads a fixed32 at b[i:].
func le32(b []byte, i int) uint32 {
	_ = b[i+3]
	return uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2])<<16 | uint32(b[i+3])<<24
}

// alias is b[start:end] as a string that shares its memory. An empty one shares
// nothing, so that it keeps nothing alive.
func alias(b []byte, start, end int) string {
	if start == end {
		return ""
	}
	return unsafe.String(&b[start], end-start)
}

func sizeUvarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// sizeString is the size of a length-delimited field with a one-byte tag.
func sizeString(n int) int { return 1 + sizeUvarint(uint64(n)) + n }
