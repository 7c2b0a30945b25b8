package wire

import (
	"context"
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
	Codec       compress.Codec       // instead of Compression: one with a level of its own
}

// Stored says where the first record of a Batch is, or why the leader refused it.
type Stored struct {
	Offset   int64
	Err      error
	Throttle time.Duration // how long the leader wants no further request, by its quotas
}

// Produce stores one Batch per partition at their leader and returns when all
// in-sync replicas have them (acks=all). A transport error leaves open whether they
// are stored: trying again may store them twice.
func (c *Client) Produce(ctx context.Context, addr string, batches []Batch) (map[TopicPartition]Stored, error) {
	sets := make([]*RecordSet, len(batches))
	for i := range batches {
		var err error
		if sets[i], err = batches[i].Encode(time.Now()); err != nil {
			return nil, c.wrap(opProduce, addr, err)
		}
	}
	return c.Store(ctx, addr, sets)
}

const opProduce = "produce"

// RecordSet is a Batch as it is sent. It holds nothing of the records that it was made
// of, and is used up by Store.
type RecordSet struct {
	TopicPartition
	bytes []byte
}

// Encode makes the bytes of a Batch; now is the time of records that have none.
func (b *Batch) Encode(now time.Time) (*RecordSet, error) {
	bytes, err := b.encode(now)
	if err != nil {
		return nil, err
	}
	return &RecordSet{b.TopicPartition, bytes}, nil
}

// Size is how many bytes brokers hold against max.message.bytes: as compressed.
func (s *RecordSet) Size() int { return len(s.bytes) }

// Store is Produce of what is encoded.
func (c *Client) Store(ctx context.Context, addr string, sets []*RecordSet) (map[TopicPartition]Stored, error) {
	q := &call{api: apiProduce, free: true, op: opProduce, recycles: true}
	bytes := 0
	for _, s := range sets {
		bytes += len(s.bytes)
	}
	return inCompany(ctx, c, addr, q, &manner[*RecordSet, Stored]{
		kind:  func(t *turns) (*together[*RecordSet, Stored], *semaphore.Weighted) { return &t.stored, t.write },
		bytes: bytes,
		about: func(s *RecordSet) TopicPartition { return s.TopicPartition },
		ask: func(ctx context.Context, sets []*RecordSet) (map[TopicPartition]Stored, error) {
			return c.produce(ctx, addr, q, sets)
		},
	}, sets)
}

func (c *Client) produce(ctx context.Context, addr string, q *call, sets []*RecordSet) (map[TopicPartition]Stored, error) {
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
		eachTopic(e, sets, func(s **RecordSet) string { return (*s).Topic }, func(e *encoder, s **RecordSet) {
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
	if wait := d.throttle(); wait > 0 {
		for p, s := range stored {
			s.Throttle = wait
			stored[p] = s
		}
	}
}

// left is the time that a broker may take for something.
func left(ctx context.Context) time.Duration {
	if deadline, given := ctx.Deadline(); given {
		return time.Until(deadline)
	}
	return callTimeout
}
