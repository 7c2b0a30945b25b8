package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Where the fields of a batch lie. Offset, size and magic are at the same place in
// every magic; so one can be told from the other.
const (
	atSize  = 8
	atMagic = 16
	prefix  = 12 // offset and size; the size counts what follows them

	atCRC      = 17
	atAttrs    = 21
	atDelta    = 23
	atBaseTime = 27
	atMaxTime  = 35
	atProducer = 43
	atCount    = 57
	headerSize = 61
)

const (
	codecBits     = 7
	appendTimeBit = 1 << 3
	transactional = 1 << 4
	controlBit    = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is the header of a batch of magic 2, or of a message of magic 0 or 1.
type batch struct {
	base, last int64 // of magic 0 and 1 both are the message's offset
	magic      int8
	attrs      int16
	baseTime   int64
	maxTime    int64
	producer   int64
	count      int32
	body       []byte // what follows the header
}

func (b *batch) codec() codec        { return codec(b.attrs & codecBits) }
func (b *batch) control() bool       { return b.attrs&controlBit != 0 }
func (b *batch) transactional() bool { return b.attrs&transactional != 0 }

// time is the timestamp of a record whose producer wrote t.
func (b *batch) time(t int64) int64 {
	if b.attrs&appendTimeBit != 0 {
		return b.maxTime
	}
	return t
}

// extent is the size of the batch that a set begins with: 0 if not even that can
// be told, and more than there is if the batch is cut short.
func extent(set []byte) (size int64, err error) {
	if len(set) < prefix {
		return 0, nil
	}
	size = prefix + int64(int32(binary.BigEndian.Uint32(set[atSize:])))
	least := int64(legacyLeast)
	if len(set) > atMagic {
		switch magic := int8(set[atMagic]); magic {
		case 0, 1:
			least += 8 * int64(magic) // the timestamp
		case 2:
			least = headerSize
		default:
			return 0, fmt.Errorf("its magic %d is %w (0, 1 and 2 are)", magic, ErrUnsupported)
		}
	}
	if size < least {
		return 0, malformed("it says that it is %d bytes long, and no batch has less than %d", size, least)
	}
	return size, nil
}

// parse reads the header of a whole batch and verifies its checksum.
func (b *batch) parse(raw []byte) error {
	if raw[atMagic] < 2 {
		return b.parseLegacy(raw)
	}
	if err := checksum(crc32.Checksum(raw[atAttrs:], castagnoli), raw[atCRC:]); err != nil {
		return err
	}
	delta := int64(int32(binary.BigEndian.Uint32(raw[atDelta:])))
	*b = batch{
		base:     int64(binary.BigEndian.Uint64(raw)),
		magic:    int8(raw[atMagic]),
		attrs:    int16(binary.BigEndian.Uint16(raw[atAttrs:])),
		baseTime: int64(binary.BigEndian.Uint64(raw[atBaseTime:])),
		maxTime:  int64(binary.BigEndian.Uint64(raw[atMaxTime:])),
		producer: int64(binary.BigEndian.Uint64(raw[atProducer:])),
		count:    int32(binary.BigEndian.Uint32(raw[atCount:])),
		body:     raw[headerSize:],
	}
	b.last = b.base + delta
	if b.count < 0 || delta < 0 || int64(b.count) > delta+1 {
		return malformed("%d records in %d offsets", b.count, delta+1)
	}
	return b.placed()
}

// placed checks that the offsets of a batch are offsets.
func (b *batch) placed() error {
	if b.base < 0 || b.base > math.MaxInt64-math.MaxInt32-1 {
		return malformed("no batch begins at offset %d", b.base)
	}
	return nil
}

func checksum(got uint32, header []byte) error {
	if want := binary.BigEndian.Uint32(header); got != want {
		return fmt.Errorf("%w: %08x, and the header says %08x", ErrChecksum, got, want)
	}
	return nil
}
