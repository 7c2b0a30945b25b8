package kafka

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"
	"strings"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// A gap map is what has ended above a committed offset. It travels in that
// commit's metadata, so that the next owner of the partition does not deliver
// again what only waited for an older message. In words:
//
//	flushline/1:  marker and version
//	base64, unpadded, of
//	  check  4 bytes  CRC-32 (IEEE) of scope, 0, offset (8 bytes) and all below
//	  form   1 byte   'r' runs or 'b' bits, whichever reaches further
//	  runs            pairs of uvarints: how many positions are open, how many ended
//	  bits            a uvarint: how many positions to leave out; then a bit for each, lowest first
//
// Positions count from the committed offset. The check binds a map to one offset
// of one partition of one cluster: metadata that a tool copied to another offset,
// or a mirror to another cluster, says nothing there. What cannot be read is no
// map and no error: the messages come again.
const gapMarker = "flushline/1:"

const (
	gapRuns byte = 'r'
	gapBits byte = 'b'

	gapCheck = 4 // bytes of the check
)

// metadataLimit is how long metadata may be, in characters. Brokers take 4,096
// (offset.metadata.max.bytes).
const metadataLimit = 4000

// encodeGaps writes down what ended above a committed offset: intervals that
// ascend, do not touch and lie at or above it. If not all fit the limit, it is the
// lowest ones: each interval stands for itself, so those that are left out only
// come again. Without any it is empty.
func encodeGaps(scope string, offset int64, ended []queue.Interval, limit int) string {
	room := base64.RawStdEncoding.DecodedLen(limit-len(gapMarker)) - gapCheck - 1
	if len(ended) == 0 || room <= 0 {
		return ""
	}
	body, reach := appendRuns(nil, offset, ended, room)
	form := gapRuns
	if other, far := appendBits(nil, offset, ended, room); far > reach || far == reach && len(other) < len(body) {
		form, body, reach = gapBits, other, far
	}
	if reach <= offset {
		return ""
	}
	sum := binary.BigEndian.AppendUint32(nil, gapSum(scope, offset, form, body))
	return gapMarker + base64.RawStdEncoding.EncodeToString(slices.Concat(sum, []byte{form}, body))
}

// appendRuns writes intervals into at most room bytes and says up to which
// position it came.
func appendRuns(b []byte, offset int64, ended []queue.Interval, room int) (body []byte, reach int64) {
	reach = offset
	for _, iv := range ended {
		longer := binary.AppendUvarint(b, uint64(iv.From-reach))
		longer = binary.AppendUvarint(longer, uint64(iv.To-iv.From))
		if len(longer) > room {
			break
		}
		b, reach = longer, iv.To
	}
	return b, reach
}

// appendBits writes one bit a position into at most room bytes and says up to
// which position it came.
func appendBits(b []byte, offset int64, ended []queue.Interval, room int) (body []byte, reach int64) {
	first := ended[0].From
	b = binary.AppendUvarint(b, uint64(first-offset))
	room -= len(b)
	if room <= 0 {
		return b, offset
	}
	last := min(ended[len(ended)-1].To-first, int64(room)*8)
	set := make([]byte, (last+7)/8)
	for _, iv := range ended {
		for at := iv.From - first; at < min(iv.To-first, last); at++ {
			set[at>>3] |= 1 << (at & 7)
			reach = first + at + 1
		}
	}
	return append(b, set...), reach
}

func gapSum(scope string, offset int64, form byte, body []byte) uint32 {
	sum := crc32.ChecksumIEEE(append([]byte(scope), 0))
	sum = crc32.Update(sum, crc32.IEEETable, append(binary.BigEndian.AppendUint64(nil, uint64(offset)), form))
	return crc32.Update(sum, crc32.IEEETable, body)
}

// decodeGaps reads what encodeGaps wrote for the same scope and offset. ok is
// false for metadata that is not a map for this place: another program's, a later
// version's, one for another offset, a damaged one.
func decodeGaps(scope string, offset int64, metadata string) (ended []queue.Interval, ok bool) {
	text, ours := strings.CutPrefix(metadata, gapMarker)
	if !ours || len(metadata) > metadataLimit {
		return nil, false
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) <= gapCheck {
		return nil, false
	}
	form, body := b[gapCheck], b[gapCheck+1:]
	if binary.BigEndian.Uint32(b) != gapSum(scope, offset, form, body) && !mutant.On(mutant.ForeignMap) {
		return nil, false
	}
	switch form {
	case gapRuns:
		return readRuns(offset, body)
	case gapBits:
		return readBits(offset, body)
	}
	return nil, false
}

func readRuns(offset int64, body []byte) (ended []queue.Interval, ok bool) {
	for at := offset; len(body) > 0; {
		var open, done int64
		if open, body, ok = readCount(body); !ok || open > math.MaxInt64-at {
			return nil, false
		}
		at += open
		if done, body, ok = readCount(body); !ok || done == 0 || done > math.MaxInt64-at {
			return nil, false
		}
		ended = append(ended, queue.Interval{From: at, To: at + done})
		at += done
	}
	return ended, len(ended) > 0
}

func readBits(offset int64, body []byte) (ended []queue.Interval, ok bool) {
	skip, body, ok := readCount(body)
	if !ok || skip > math.MaxInt64-offset {
		return nil, false
	}
	first := offset + skip
	for at := range int64(len(body)) * 8 {
		if body[at>>3]>>(at&7)&1 == 0 {
			continue
		}
		if at >= math.MaxInt64-first {
			return nil, false
		}
		if n := len(ended); n > 0 && ended[n-1].To == first+at {
			ended[n-1].To++
		} else {
			ended = append(ended, queue.Interval{From: first + at, To: first + at + 1})
		}
	}
	return ended, len(ended) > 0
}

func readCount(b []byte) (count int64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > math.MaxInt64 {
		return 0, nil, false
	}
	return int64(v), b[n:], true
}

// aboveOf is the part of intervals that lies at or above a position.
func aboveOf(ended []queue.Interval, low int64) []queue.Interval {
	n, _ := slices.BinarySearchFunc(ended, low, func(iv queue.Interval, low int64) int { return cmp.Compare(iv.To, low+1) })
	above := slices.Clone(ended[n:])
	if len(above) > 0 {
		above[0].From = max(above[0].From, low)
	}
	return above
}

// union merges two lists of intervals into one whose intervals do not touch.
func union(a, b []queue.Interval) []queue.Interval {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y queue.Interval) int { return cmp.Compare(x.From, y.From) })
	out := all[:0]
	for _, iv := range all {
		if n := len(out); n > 0 && iv.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, iv.To)
		} else {
			out = append(out, iv)
		}
	}
	return out
}
