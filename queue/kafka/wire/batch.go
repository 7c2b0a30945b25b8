package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Places of fields in a record batch of format 2.
const (
	batchLength  = 8
	batchCRC     = 17
	batchAttrs   = 21
	batchRecords = 61
)

// encode is the batch in format 2, without a producer id.
func (b *Batch) encode(now time.Time) ([]byte, error) {
	first, last := now.UnixMilli(), int64(0)
	if len(b.Records) > 0 {
		first = b.Records[0].millis(now)
		last = first
	}
	size := 0
	for i := range b.Records {
		size += b.Records[i].Size()
		last = max(last, b.Records[i].millis(now))
	}
	e := encoder{b: buffer(batchRecords + size)}
	e.int64(0)  // base offset: the leader's to say
	e.int32(0)  // length
	e.int32(-1) // leader epoch
	e.int8(2)   // format
	e.int32(0)  // checksum
	codec := b.codec()
	if codec == nil && b.Compression != compress.None {
		return nil, fmt.Errorf("there is no compression %d", b.Compression)
	}
	e.int16(attributes(codec))
	e.int32(int32(len(b.Records) - 1))
	e.int64(first)
	e.int64(last)
	e.int64(-1) // producer
	e.int16(-1) // its epoch
	e.int32(-1) // its sequence
	e.count(len(b.Records))
	if codec == nil {
		e.b = b.append(e.b, now, first)
	} else {
		plain := b.append(buffer(size), now, first)
		body, err := compressed(codec, plain)
		recycle(plain)
		if err != nil {
			return nil, fmt.Errorf("couldn't compress %d records with %s: %w", len(b.Records), codec.Name(), err)
		}
		e.b = append(e.b, body...)
	}
	binary.BigEndian.PutUint32(e.b[batchLength:], uint32(len(e.b)-batchLength-4))
	binary.BigEndian.PutUint32(e.b[batchCRC:], crc32.Checksum(e.b[batchAttrs:], castagnoli))
	return e.b, nil
}

// append writes the records; first is the timestamp that theirs count from.
func (b *Batch) append(to []byte, now time.Time, first int64) []byte {
	for i := range b.Records {
		to = b.Records[i].append(to, i, b.Records[i].millis(now)-first)
	}
	return to
}

// codec is nil for records that are sent as they are.
func (b *Batch) codec() compress.Codec {
	if b.Codec != nil {
		return b.Codec
	}
	return b.Compression.Codec()
}

func attributes(codec compress.Codec) int16 {
	if codec == nil {
		return 0
	}
	return int16(codec.Code())
}

func compressed(codec compress.Codec, body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := codec.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (r *Record) millis(now time.Time) int64 {
	if r.Time.IsZero() {
		return now.UnixMilli()
	}
	return r.Time.UnixMilli()
}

// append writes the record as the n-th of its batch, with its length before it.
func (r *Record) append(b []byte, n int, delta int64) []byte {
	b = binary.AppendVarint(b, int64(r.size(n, delta)))
	b = append(b, 0) // no attributes
	b = binary.AppendVarint(b, delta)
	b = binary.AppendVarint(b, int64(n))
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = binary.AppendVarint(b, int64(len(h.Value)))
		b = append(b, h.Value...)
	}
	return b
}

func (r *Record) size(n int, delta int64) int {
	size := 1 + varint(delta) + varint(int64(n)) + bytesSize(r.Key) + bytesSize(r.Value) + varint(int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		size += varint(int64(len(h.Key))) + len(h.Key) + varint(int64(len(h.Value))) + len(h.Value)
	}
	return size
}

// Size is how many bytes the record adds to a Batch at most, uncompressed.
func (r *Record) Size() int { return r.size(1<<31-1, 1<<40) + binary.MaxVarintLen32 }

// BatchOverhead is what a Batch needs beside the bytes of its records.
const BatchOverhead = batchRecords

func appendBytes(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	b = binary.AppendVarint(b, int64(len(v)))
	return append(b, v...)
}

func bytesSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varint(int64(len(v))) + len(v)
}

// varint is how many bytes v takes, zigzag.
func varint(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 {
		n++
	}
	return n
}
