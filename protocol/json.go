package protocol

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

// AppendJSONLog appends one log as a JSON object, in the shape of iLogtail's
// converter protocol custom_single:
//
//	{"contents":{"level":"WARN"},"tags":{"host.ip":"192.0.2.1"},"time":1700000000}
//
// Tags are the group's log tags, and as that converter does, its Source as
// "host.ip" and its Topic as "log.topic" unless they are empty. Unlike there,
// tag names stay what they are, members keep the log's order, and a log with a
// nanosecond part has "time_ns" behind "time". Values are always strings; bytes
// that are no UTF-8 become U+FFFD; a key that stands twice is written twice.
// Category, MachineUUID and Values are not part of the shape. [JSONShape] has others.
func AppendJSONLog(dst []byte, g *LogGroup, l *Log) []byte { return plainJSON.AppendLog(dst, g, l) }

// AppendJSONLines appends all logs of a group as AppendJSONLog does, each with a
// newline behind it.
func AppendJSONLines(dst []byte, g *LogGroup) []byte { return plainJSON.AppendLines(dst, g) }

// The names custom_single gives to Source and Topic.
const (
	tagHostIP   = "host.ip"
	tagLogTopic = "log.topic"
)

// AppendJSONString appends s in quotes, as JSON. Bytes that are no UTF-8 become
// U+FFFD, each byte one, as in encoding/json.
func AppendJSONString(dst []byte, s string) []byte {
	dst = appendFrom(append(dst, '"'), s, nextSpecial(s, 0))
	return append(dst, '"')
}

// appendFrom appends a string whose first byte that is special is at i.
func appendFrom(dst []byte, s string, i int) []byte {
	if i < len(s) {
		return appendSpecial(dst, s, i)
	}
	return append(dst, s...)
}

// appendSpecial is appendFrom for a string that has a special byte.
func appendSpecial(dst []byte, s string, i int) []byte {
	next := nextSpecial
	if utf8.ValidString(s[i+usual(s[i:]):]) {
		next = nextEscape
		i = next(s, i)
	}
	clean := 0 // s[clean:i] needs no escape and is not copied yet
	for ; i < len(s); i = next(s, i) {
		if c := s[i]; c < utf8.RuneSelf {
			dst = append(dst, s[clean:i]...)
			dst = appendEscaped(dst, c)
			i++
			clean = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, s[clean:i]...)
			dst = append(dst, `\ufffd`...)
			clean = i + 1
		}
		i += size
	}
	return append(dst, s[clean:]...)
}

// usual is how many bytes at the beginning of s are ASCII or characters of three bytes,
// such as most of Chinese, Japanese and Korean: they are found valid quicker here.
func usual(s string) int {
	for i := 0; ; {
		switch {
		case i == len(s):
			return i
		case s[i] < utf8.RuneSelf:
			i++
		case i+3 <= len(s) && s[i]&0xf0 == 0xe0 && s[i] != 0xe0 && s[i] != 0xed && s[i+1]&0xc0 == 0x80 && s[i+2]&0xc0 == 0x80:
			i += 3
		default:
			return i
		}
	}
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// nextSpecial is the index from i on of the next byte that is a quote, a backslash, a
// control character or not ASCII. Eight bytes are looked at at a time.
func nextSpecial(s string, i int) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; i+8 <= len(b); i += 8 {
		if found := specials(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	if i == len(b) {
		return i
	}
	return i + bits.TrailingZeros64(specials(tail(b, i)))/8
}

// nextEscape is nextSpecial for a string that is UTF-8: what is not ASCII is not
// special.
func nextEscape(s string, i int) int {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; i+8 <= len(b); i += 8 {
		if found := escapes(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	if i == len(b) {
		return i
	}
	return i + bits.TrailingZeros64(escapes(tail(b, i)))/8
}

// tail is the last bytes of b, fewer than eight, from i on, the first one lowest. A
// zero byte follows, which is special.
func tail(b []byte, i int) (w uint64) {
	left := len(b) - i
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b[len(b)-8:]) >> (64 - 8*left)
	}
	if left >= 4 {
		low, high := binary.LittleEndian.Uint32(b[i:]), binary.LittleEndian.Uint32(b[len(b)-4:])
		return uint64(low) | uint64(high)<<(8*left-32)
	}
	w = uint64(b[i])
	if left > 1 {
		w |= uint64(b[i+1])<<8 | uint64(b[len(b)-1])<<(8*left-8)
	}
	return w
}

// specials has the lowest top bit that is set at the lowest byte of w that is special.
// x-ones sets the top bit of the lowest byte of x that is zero, and no top bit below
// it; a byte's own top bit makes it special anyway.
func specials(w uint64) uint64 {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	quote, slash := w^'"'*ones, w^'\\'*ones
	return (w | (w - ' '*ones) | (quote - ones) | (slash - ones)) & tops
}

// escapes has the lowest top bit that is set at the lowest byte of w that is a control
// character, a quote or a backslash: borrows only reach the bytes above.
func escapes(w uint64) uint64 {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	quote, slash := w^'"'*ones, w^'\\'*ones
	return ((w-' '*ones)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & tops
}
