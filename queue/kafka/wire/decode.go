package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

var errShort = errors.New("the answer ends within a field")

// decoder reads the primitive types of the protocol guide from one answer. After
// the first error it yields zero values, so that callers ask for it once, at the
// end. No length is believed before the bytes are seen to be there.
type decoder struct {
	b        []byte
	err      error
	flexible bool // strings and arrays are compact, and structures end in tagged fields
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.b) {
		d.fail(errShort)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) int8() int8 {
	if v := d.take(1); v != nil {
		return int8(v[0])
	}
	return 0
}

func (d *decoder) int16() int16 {
	if v := d.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (d *decoder) int32() int32 {
	if v := d.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (d *decoder) int64() int64 {
	if v := d.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

func (d *decoder) bool() bool { return d.int8() != 0 }

func (d *decoder) throttle() time.Duration {
	return max(0, time.Duration(d.int32())*time.Millisecond)
}

// text is a string that aliases the answer; null is nil.
func (d *decoder) text() []byte {
	var n int
	if d.flexible {
		n = d.compact()
	} else {
		n = int(d.int16())
	}
	if n == -1 {
		return nil
	}
	return d.take(n)
}

func (d *decoder) str() string { return string(d.text()) }

// bytes aliases the answer; null is nil.
func (d *decoder) bytes() []byte {
	n := int(d.int32())
	if n == -1 {
		return nil
	}
	return d.take(n)
}

// copied is bytes that outlive the answer.
func (d *decoder) copied() []byte { return append([]byte(nil), d.bytes()...) }

// count reads the length of an array whose elements have at least least bytes, so
// that a lie cannot make anybody allocate; null is 0.
func (d *decoder) count(least int) int {
	var n int
	if d.flexible {
		n = d.compact()
	} else {
		n = int(d.int32())
	}
	switch {
	case d.err != nil || n == -1:
		return 0
	case n < 0 || n > len(d.b)/least:
		d.fail(fmt.Errorf("the answer announces %d elements in %d bytes", n, len(d.b)))
		return 0
	}
	return n
}

// compact is a length in a flexible format, which has one more; null is -1.
func (d *decoder) compact() int { return d.uvarint() - 1 }

func (d *decoder) uvarint() int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > math.MaxInt32 {
		d.fail(errors.New("the answer has no number where its format has one"))
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

// tagged passes over the tagged fields that a structure ends in.
func (d *decoder) tagged() {
	if !d.flexible {
		return
	}
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		d.uvarint() // which one
		d.take(d.uvarint())
	}
}

func (d *decoder) int32s() []int32 {
	list := make([]int32, d.count(4))
	for i := range list {
		list[i] = d.int32()
	}
	return list
}

func (d *decoder) strs() []string {
	list := make([]string, d.count(2))
	for i := range list {
		list[i] = d.str()
	}
	return list
}

// code is a broker's verdict as an error.
func (d *decoder) code() error { return codeError(d.int16()) }

// verdict is a code followed by the broker's words.
func (d *decoder) verdict() error {
	code := d.int16()
	return worded(code, d.str())
}

// eachPartition walks an array of topics with an array of partitions each; one
// reads everything after the partition's number, which has at least least bytes.
func (d *decoder) eachPartition(least int, one func(TopicPartition)) {
	for range d.count(6) {
		topic := d.str()
		for range d.count(4 + least) {
			p := TopicPartition{Topic: topic, Partition: d.int32()}
			one(p)
		}
	}
}

// end says whether the answer was what its format says, to the last byte.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		return fmt.Errorf("the answer is %d bytes longer than its format", len(d.b))
	}
	return d.err
}
