package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"golang.org/x/sync/semaphore"

	"github.com/flushline/flushline/queue"
)

// Record is one record to store. A nil Key or Value is stored as null; a zero Time
// is the time of encoding.
type Record struct {
	Key, Value []byte
	Headers    []queue.Header
	Time       time.Time
}

// Batch is the records for one partition. They are stored together or not at all.
type Batch struct {
	TopicPartition
	Records     []Record
	Compression compress.Compression // compress.None by default
}

// Stored says where the first record of a Batch is, or why the leader refused it.
type Stored struct {
	Offset int64
	Err    error
}

// Produce stores one Batch per partition at their leader and returns when all
// in-sync replicas have them (acks=all). A transport error leaves open whether they
// are stored: trying again may store them twice.
func (c *Client) Produce(ctx context.Context, addr string, batches []Batch) (map[TopicPartition]Stored, error) {
	q := &call{api: apiProduce, free: true, op: "produce", recycles: true}
	sets := make([]*recordSet, len(batches))
	bytes := 0
	for i := range batches {
		set, err := batches[i].encode(time.Now())
		if err != nil {
			return nil, c.wrap(q.op, addr, err)
		}
		sets[i] = &recordSet{batches[i].TopicPartition, set}
		bytes += len(set)
	}
	return inCompany(ctx, c, addr, q, &manner[*recordSet, Stored]{
		kind:  func(t *turns) (*together[*recordSet, Stored], *semaphore.Weighted) { return &t.stored, t.write },
		bytes: bytes,
		about: func(s *recordSet) TopicPartition { return s.TopicPartition },
		ask: func(ctx context.Context, sets []*recordSet) (map[TopicPartition]Stored, error) {
			return c.produce(ctx, addr, q, sets)
		},
	}, sets)
}

// recordSet is a Batch as it is sent.
type recordSet struct {
	TopicPartition
	bytes []byte
}

func (c *Client) produce(ctx context.Context, addr string, q *call, sets []*recordSet) (map[TopicPartition]Stored, error) {
	stored := map[TopicPartition]Stored{}
	size := 0
	for _, s := range sets {
		size += len(s.bytes) + len(s.Topic) + 16
	}
	q.body = func(e *encoder) {
		e.nullable("") // no transaction
		e.int16(-1)    // all in-sync replicas
		e.int32(millis(left(ctx)))
		e.reserve(size)
		eachTopic(e, sets, func(s **recordSet) string { return (*s).Topic }, func(e *encoder, s **recordSet) {
			e.int32((*s).Partition)
			e.bytes((*s).bytes)
		})
	}
	err := c.do(ctx, addr, q, func(d *decoder) error {
		for _, s := range sets {
			stored[s.TopicPartition] = Stored{Offset: -1, Err: errUnnamed}
		}
		parseProduced(d, stored)
		return d.err
	})
	if err == nil {
		for _, s := range sets {
			recycle(s.bytes)
		}
	}
	return outcome(stored, err)
}

func parseProduced(d *decoder, stored map[TopicPartition]Stored) {
	d.eachPartition(32, func(p TopicPartition) {
		code := d.int16()
		s := Stored{Offset: d.int64()}
		d.int64() // append time
		d.int64() // log start
		words := ""
		for range d.count(6) { // of single records that made the leader refuse the batch
			d.int32()
			words = d.str()
		}
		if all := d.str(); all != "" {
			words = all
		}
		s.Err = worded(code, words)
		stored[p] = s
	})
	d.throttle()
}

// left is the time that a broker may take for something.
func left(ctx context.Context) time.Duration {
	if deadline, given := ctx.Deadline(); given {
		return time.Until(deadline)
	}
	return callTimeout
}

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
	e.int16(int16(b.Compression))
	e.int32(int32(len(b.Records) - 1))
	e.int64(first)
	e.int64(last)
	e.int64(-1) // producer
	e.int16(-1) // its epoch
	e.int32(-1) // its sequence
	e.count(len(b.Records))
	if b.Compression == compress.None {
		e.b = b.append(e.b, now, first)
	} else {
		body, err := compressed(b.Compression, b.append(make([]byte, 0, size), now, first))
		if err != nil {
			return nil, fmt.Errorf("couldn't compress %d records with %s: %w", len(b.Records), b.Compression, err)
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

func compressed(c compress.Compression, body []byte) ([]byte, error) {
	codec := c.Codec()
	if codec == nil {
		return nil, fmt.Errorf("there is no such codec")
	}
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
