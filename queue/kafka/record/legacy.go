package record

import (
	"encoding/binary"
	"hash/crc32"
)

// Magic 0 and 1: each message stands for itself, and a compressed one holds a set
// of messages as its value. Brokers still serve them from segments that were
// written before 0.11. Offset, size, checksum (of all that follows it), magic,
// attributes, with magic 1 a timestamp, key, value.
const (
	legacyCRC   = 12
	legacyAttrs = 17
	legacyBody  = 18
	legacyLeast = legacyBody + 4 + 4
)

// parseLegacy reads a message up to its timestamp and verifies its checksum.
func (b *batch) parseLegacy(raw []byte) error {
	if err := checksum(crc32.ChecksumIEEE(raw[atMagic:]), raw[legacyCRC:]); err != nil {
		return err
	}
	offset := int64(binary.BigEndian.Uint64(raw))
	*b = batch{base: offset, last: offset, magic: int8(raw[atMagic]), count: 1}
	b.attrs, b.maxTime, b.body = legacyFields(raw[atMagic:])
	return b.placed()
}

// legacyFields reads a message from its magic to its timestamp.
func legacyFields(m []byte) (attrs int16, time int64, body []byte) {
	const skip = legacyBody - atMagic
	if m[0] == 0 {
		return int16(m[1] & codecBits), -1, m[skip:]
	}
	return int16(m[1] & (codecBits | appendTimeBit)), int64(binary.BigEndian.Uint64(m[skip:])), m[skip+8:]
}

// message hands out a message, or those that a compressed one holds.
func (w *walk) message(b *batch) error {
	key, rest, ok := legacyBytes(b.body)
	value, rest, good := legacyBytes(rest)
	if !ok || !good || len(rest) != 0 {
		return malformed("the lengths inside a message do not add up to its own")
	}
	if b.codec() != none {
		return w.inner(b, value)
	}
	w.rec = Record{Key: key, Value: value, Size: int64(len(value)), Headers: w.rec.Headers[:0]}
	return w.give(b.base, b.maxTime)
}

// legacyBytes reads a length of four bytes and that many bytes.
func legacyBytes(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int64(int32(binary.BigEndian.Uint32(b)))
	b = b[4:]
	if n == -1 {
		return nil, b, true
	}
	if n < 0 || n > int64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// inner hands out the messages that a compressed one holds. Its own offset is that
// of the last of them; with magic 1 theirs are relative (KIP-31), so the last has
// to be known before the first can be handed out, and the value is read twice.
func (w *walk) inner(b *batch, value []byte) error {
	last, err := w.lastInner(b, value)
	if err != nil {
		return err
	}
	if err := w.open(b.codec(), value); err != nil {
		return err
	}
	for relative := int64(-1); relative < last; {
		offset, size, err := w.innerStart()
		if err != nil {
			return err
		}
		if err := w.innerMessage(b, b.last-(last-offset), size); err != nil {
			return err
		}
		relative = offset
	}
	return nil
}

// lastInner is the offset of the last message that a compressed one holds. It
// goes through all of them: their offsets rise, and the value ends with one.
func (w *walk) lastInner(b *batch, value []byte) (int64, error) {
	if err := w.open(b.codec(), value); err != nil {
		return 0, err
	}
	first, last := int64(-1), int64(-1)
	for {
		offset, size, err := w.innerStart()
		if err != nil {
			return 0, err
		}
		if offset <= last {
			return 0, malformed("a message with offset %d after %d, inside a compressed one", offset, last)
		}
		if first < 0 {
			first = offset
		}
		last = offset
		if err := w.stream.discard(size); err != nil {
			return 0, err
		}
		if more, err := w.stream.more(); err != nil {
			return 0, err
		} else if !more {
			break
		}
	}
	if last-first > b.last {
		return 0, malformed("messages with offsets %d to %d inside one that ends at %d", first, last, b.last)
	}
	return last, nil
}

func (w *walk) innerStart() (offset, size int64, err error) {
	b, err := w.stream.next(prefix)
	if err != nil {
		return 0, 0, err
	}
	offset, size = int64(binary.BigEndian.Uint64(b)), int64(int32(binary.BigEndian.Uint32(b[atSize:])))
	if size < legacyLeast-prefix || offset < 0 {
		return 0, 0, malformed("a message of %d bytes at offset %d inside a compressed one", size, offset)
	}
	return offset, size, nil
}

// innerMessage reads one message from its checksum on. That checksum is left
// alone: the outer one covered it.
func (w *walk) innerMessage(b *batch, offset, size int64) error {
	if offset < w.Next {
		return w.stream.discard(size)
	}
	if offset >= w.to {
		return w.stop()
	}
	if size > w.max {
		return &recordError{offset + 1, tooLarge("a message of %d bytes inside one of magic %d (at most %d)", size, b.magic, w.max)}
	}
	raw, err := w.stream.next(size)
	if err != nil {
		return err
	}
	m := raw[atMagic-legacyCRC:]
	if m[0] > 1 || len(raw) < legacyLeast-prefix+8*int(m[0]) {
		return malformed("a message of %d bytes with magic %d inside a compressed one", size, m[0])
	}
	attrs, time, body := legacyFields(m)
	if attrs&codecBits != 0 {
		return malformed("a compressed message inside a compressed one")
	}
	key, rest, ok := legacyBytes(body)
	value, rest, good := legacyBytes(rest)
	if !ok || !good || len(rest) != 0 {
		return malformed("the lengths inside a message do not add up to its own")
	}
	w.rec = Record{Key: key, Value: value, Size: int64(len(value)), Headers: w.rec.Headers[:0]}
	return w.give(offset, b.time(time))
}
