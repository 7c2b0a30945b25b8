package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// encoder appends the primitive types of the protocol guide.
type encoder struct {
	b        []byte
	err      error
	flexible bool // str and count are compact, and tagged is there
}

func (e *encoder) int8(v int8)   { e.b = append(e.b, byte(v)) }
func (e *encoder) int16(v int16) { e.b = binary.BigEndian.AppendUint16(e.b, uint16(v)) }
func (e *encoder) int32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) int64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

func (e *encoder) bool(v bool) {
	if v {
		e.int8(1)
	} else {
		e.int8(0)
	}
}

// str refuses what would be cut off at the broker, silently, as a shorter string.
func (e *encoder) str(s string) {
	if len(s) > math.MaxInt16 {
		e.err = fmt.Errorf("a string of %d bytes does not fit into a request: Kafka allows %d", len(s), math.MaxInt16)
		return
	}
	if e.flexible {
		e.compact(len(s))
	} else {
		e.int16(int16(len(s)))
	}
	e.b = append(e.b, s...)
}

// count begins an array; -1 is null.
func (e *encoder) count(n int) {
	if e.flexible {
		e.compact(n)
	} else {
		e.int32(int32(n))
	}
}

func (e *encoder) compact(n int) { e.b = binary.AppendUvarint(e.b, uint64(n+1)) }

// tagged ends a structure: it has no tagged fields.
func (e *encoder) tagged() {
	if e.flexible {
		e.int8(0)
	}
}

// nullable writes "" as null.
func (e *encoder) nullable(s string) {
	if s == "" {
		e.int16(-1)
		return
	}
	e.str(s)
}

func (e *encoder) bytes(b []byte) {
	e.int32(int32(len(b)))
	e.b = append(e.b, b...)
}

func (e *encoder) strs(list []string) {
	e.count(len(list))
	for _, s := range list {
		e.str(s)
	}
}

// eachTopic writes an array of topics, each with an array of partitions. Neighbours
// with the same topic share an entry, so that the order is kept.
func eachTopic[T any](e *encoder, list []T, topic func(*T) string, one func(*encoder, *T)) {
	at := len(e.b)
	e.count(0)
	topics, partitions, start := int32(0), int32(0), 0
	for i := range list {
		if i == 0 || topic(&list[i]) != topic(&list[i-1]) {
			topics, partitions = topics+1, 0
			e.str(topic(&list[i]))
			start = len(e.b)
			e.count(0)
		}
		one(e, &list[i])
		partitions++
		binary.BigEndian.PutUint32(e.b[start:], uint32(partitions))
	}
	binary.BigEndian.PutUint32(e.b[at:], uint32(topics))
}
