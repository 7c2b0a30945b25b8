package record

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go/compress"
)

// rec is a record as a test writes it. Its offset is base+delta of its batch.
type rec struct {
	delta      int64
	time       int64
	key, value []byte
	headers    []Header
}

// batchOf is a batch as a test writes it, field by field, so that it can lie.
type batchOf struct {
	base     int64
	delta    int32 // lastOffsetDelta
	attrs    int16
	baseTime int64
	maxTime  int64
	producer int64
	count    int32
	body     []byte // the records, not yet compressed
}

func batchFor(base int64, attrs int16, recs ...rec) batchOf {
	b := batchOf{base: base, attrs: attrs, producer: -1, count: int32(len(recs))}
	for _, r := range recs {
		b.body = appendRec(b.body, r)
		b.delta = int32(r.delta)
		b.maxTime = max(b.maxTime, r.time)
	}
	return b
}

func appendRec(b []byte, r rec) []byte {
	body := []byte{0}
	body = binary.AppendVarint(body, r.time)
	body = binary.AppendVarint(body, r.delta)
	body = appendField(body, r.key)
	body = appendField(body, r.value)
	body = binary.AppendVarint(body, int64(len(r.headers)))
	for _, h := range r.headers {
		body = appendField(body, h.Key)
		body = appendField(body, h.Value)
	}
	return append(binary.AppendVarint(b, int64(len(body))), body...)
}

func appendField(b, field []byte) []byte {
	if field == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(field))), field...)
}

func (b batchOf) bytes() []byte {
	body := compressed(codec(b.attrs&codecBits), b.body)
	raw := make([]byte, headerSize, headerSize+len(body))
	binary.BigEndian.PutUint64(raw, uint64(b.base))
	binary.BigEndian.PutUint32(raw[atSize:], uint32(headerSize-prefix+len(body)))
	binary.BigEndian.PutUint32(raw[prefix:], 7) // leader epoch
	raw[atMagic] = 2
	binary.BigEndian.PutUint16(raw[atAttrs:], uint16(b.attrs))
	binary.BigEndian.PutUint32(raw[atDelta:], uint32(b.delta))
	binary.BigEndian.PutUint64(raw[atBaseTime:], uint64(b.baseTime))
	binary.BigEndian.PutUint64(raw[atMaxTime:], uint64(b.maxTime))
	binary.BigEndian.PutUint64(raw[atProducer:], uint64(b.producer))
	binary.BigEndian.PutUint32(raw[atCount:], uint32(b.count))
	return sealed(append(raw, body...))
}

// sealed is a batch with the checksum that its bytes have.
func sealed(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[atCRC:], crc32.Checksum(raw[atAttrs:], castagnoli))
	return raw
}

func compressed(c codec, raw []byte) []byte {
	if c == none || c > zstandard {
		return raw
	}
	var out bytes.Buffer
	w := compress.Compression(c).Codec().NewWriter(&out)
	_, _ = w.Write(raw)
	_ = w.Close()
	return out.Bytes()
}

// message is one of magic 0 or 1.
func message(magic int8, attrs int8, offset, time int64, key, value []byte) []byte {
	raw := binary.BigEndian.AppendUint64(nil, uint64(offset))
	raw = append(raw, 0, 0, 0, 0, 0, 0, 0, 0, byte(magic), byte(attrs))
	if magic == 1 {
		raw = binary.BigEndian.AppendUint64(raw, uint64(time))
	}
	for _, f := range [][]byte{key, value} {
		n := int32(len(f))
		if f == nil {
			n = -1
		}
		raw = append(binary.BigEndian.AppendUint32(raw, uint32(n)), f...)
	}
	binary.BigEndian.PutUint32(raw[atSize:], uint32(len(raw)-prefix))
	return sealedLegacy(raw)
}

func sealedLegacy(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[legacyCRC:], crc32.ChecksumIEEE(raw[atMagic:]))
	return raw
}

// sameRecord is what cmp does with records, and quick.
func sameRecord(a, b Record) bool {
	header := func(a, b Header) bool { return bytes.Equal(a.Key, b.Key) && same(a.Value, b.Value) }
	return a.Offset == b.Offset && a.Time == b.Time && same(a.Key, b.Key) && same(a.Value, b.Value) && slices.EqualFunc(a.Headers, b.Headers, header)
}

var equateEmpty = cmpopts.EquateEmpty()

// decoded is everything that a set gives, copied.
func decoded(d *Decoder, s Set) (out []Record, res Result) {
	res = d.Decode(s, func(r *Record) bool {
		out = append(out, copied(r))
		return true
	})
	return out, res
}

func copied(r *Record) Record {
	c := *r
	c.Key, c.Value, c.Headers = bytes.Clone(r.Key), bytes.Clone(r.Value), nil
	for _, h := range r.Headers {
		c.Headers = append(c.Headers, Header{bytes.Clone(h.Key), bytes.Clone(h.Value)})
	}
	return c
}

// zeros is a stream of zeros that ends.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
