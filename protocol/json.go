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
	dst = append(dst, '"')
	clean := 0 // s[clean:i] needs no escape and is not copied yet
	for i := nextSpecial(s, 0); i < len(s); i = nextSpecial(s, i) {
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
	dst = append(dst, s[clean:]...)
	return append(dst, '"')
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

// nextSpecial is the index from i on of the next byte that is a quote, a
// backslash, a control character or not ASCII. Eight bytes are looked at at a
// time.
func nextSpecial(s string, i int) int {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	for b := unsafe.Slice(unsafe.StringData(s), len(s)); i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		// x-ones sets the top bit of the lowest byte of x that is zero, and no top
		// bit below it; a byte's own top bit makes it special anyway.
		quote, slash := w^'"'*ones, w^'\\'*ones
		special := (w | (w - ' '*ones) | (quote - ones) | (slash - ones)) & tops
		if special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(s) && s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] < utf8.RuneSelf {
		i++
	}
	return i
}
