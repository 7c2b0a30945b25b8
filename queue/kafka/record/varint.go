package record

import "encoding/binary"

var errVarint = malformed("a number of more than 64 bits")

// varint reads a zigzag number from the front of b: its value and length. A length
// of 0 means that b is too short, a negative one that the number is too long.
func varint(b []byte) (int64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return int64(b[0]>>1) ^ -int64(b[0]&1), 1
	}
	if len(b) > 1 && b[1] < 0x80 {
		u := uint64(b[0]&0x7f) | uint64(b[1])<<7
		return int64(u>>1) ^ -int64(u&1), 2
	}
	return binary.Varint(b)
}

// cursor reads the fields of one record. After an error everything is zero and
// bad says so: it is looked at once, at the end.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) varint() int64 {
	v, n := varint(c.rest)
	if n <= 0 {
		c.rest, c.bad = nil, true
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

func (c *cursor) skip(n int) {
	if n > len(c.rest) {
		c.rest, c.bad = nil, true
		return
	}
	c.rest = c.rest[n:]
}

// bytes reads a length and that many bytes; nil if the length is -1.
func (c *cursor) bytes() []byte {
	n := c.varint()
	switch {
	case n == -1:
		return nil
	case n < 0 || n > int64(len(c.rest)):
		c.rest, c.bad = nil, true
		return nil
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b
}
