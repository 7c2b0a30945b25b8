package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/record"
	"github.com/flushline/flushline/queue/kafka/unpack"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// reader reads one partition up to an offset. Of an answer that has more than a Read
// wants the rest is kept; there is never a second one.
type reader struct {
	wire.TopicPartition
	in    *Input
	stamp string
	seed  *queue.OriginSeed
	log   *zap.Logger
	next  int64
	to    int64

	decoder  record.Decoder
	messages unpack.Messages

	confirmed time.Time           // when the topic was known to be the planned one
	kept      *wire.FetchResponse // not read to its end
	took      int64               // bytes held by what was taken from it
	replica   int32               // read this broker instead of the leader; -1: none
	notBefore time.Time           // the broker throttles us
	ratio     float64             // bytes held for one byte in the log
	least     int64               // bytes in the log to ask for at least; 0 nearly always
	count     int                 // messages of the last batch
	short     time.Time           // since when the log ends within the range; zero: it does not
	spoiled   int                 // how often in a row what lies at next could not be read
}

// Seed implements job.Reader.
func (r *reader) Seed() *queue.OriginSeed { return r.seed }

// Close implements job.Reader.
func (r *reader) Close() error {
	r.drop()
	return nil
}

func (r *reader) drop() {
	if r.kept != nil {
		r.kept.Release()
		r.kept = nil
	}
}

// Read implements job.Reader.
func (r *reader) Read(ctx context.Context, bytes int64) (job.Batch, error) {
	if r.next >= r.to {
		return job.Batch{Next: r.next}, io.EOF
	}
	b, err := r.read(ctx, bytes)
	return b, marked(err)
}

// marked is an error as job.Reader describes it: that no broker answers or leads is the
// absence of a broker, and none ends the slice, although a connection that was cut is
// an io.EOF, too.
func marked(err error) error {
	var call *wire.Error
	if errors.As(err, &call) && wire.IsTransport(call) || errors.Is(err, leaders.ErrNoLeader) {
		err = job.Away(err)
	}
	if errors.Is(err, io.EOF) {
		return &cutError{err}
	}
	return err
}

type cutError struct{ err error }

func (e *cutError) Error() string        { return e.err.Error() }
func (e *cutError) As(target any) bool   { return errors.As(e.err, target) }
func (e *cutError) Is(target error) bool { return target != io.EOF && errors.Is(e.err, target) }

func (r *reader) read(ctx context.Context, bytes int64) (job.Batch, error) {
	if err := r.confirm(ctx); err != nil {
		r.drop()
		return job.Batch{Next: r.next}, err
	}
	for {
		if r.kept == nil {
			if gone, err := r.fetch(ctx, bytes); err != nil || gone > 0 {
				return r.expire(gone), err
			}
		}
		b, err := r.take(bytes)
		if err != nil || b.Next > 0 {
			return b, err
		}
	}
}

// expire passes n offsets that are not in the log any more.
func (r *reader) expire(n int64) job.Batch {
	r.next += n
	b := job.Batch{Next: r.next}
	pass(&b, job.PassedExpired, n)
	return b
}

func pass(b *job.Batch, reason string, n int64) {
	if n <= 0 {
		return
	}
	if b.Passed == nil {
		b.Passed = map[string]int64{}
	}
	b.Passed[reason] += n
}

// leastTaken is how many bytes of messages are taken from an answer at least, if it
// has them: to go on within a compressed batch means to decompress it again.
const leastTaken = 1 << 20

// take makes a batch of what was kept, and keeps what it leaves. A batch whose Next
// is 0 is none: the answer has to be asked for anew.
func (r *reader) take(bytes int64) (job.Batch, error) {
	defer unpack.Enter()()
	p := &r.kept.Partitions[0]
	var b job.Batch
	if gone := min(p.LogStart, r.to) - r.next; gone > 0 { // it was cut back while we asked
		r.next += gone
		pass(&b, job.PassedExpired, gone)
	}
	held, enough, more := int64(0), max(2*bytes, leastTaken), false
	b.Messages = make([]queue.Message, 0, r.count)
	res := r.decoder.Decode(r.set(p), func(rec *record.Record) bool {
		held += r.add(&b, rec)
		more = held >= enough
		return !more
	})
	pass(&b, job.PassedControl, res.Control)
	pass(&b, job.PassedAborted, res.Aborted)
	pass(&b, job.PassedCompacted, res.Compacted)
	r.learn(len(b.Messages), held, len(p.Records), more)
	moved := res.Next > r.next || len(b.Passed) > 0
	r.next = res.Next
	if !more || r.next >= r.to {
		r.drop()
	}
	switch {
	case moved:
		r.spoiled, r.least = 0, 0
		b.Next = r.next
		return b, nil // what is wrong behind it shows when that is read
	case res.Err != nil:
		return job.Batch{Next: r.next}, r.spoil(res.Err)
	case res.Need > largestSet:
		return job.Batch{Next: r.next}, job.Unreadable(fmt.Errorf("couldn't read %s at offset %d: the batch there has %d bytes, and at most %d are read", r, r.next, res.Need, largestSet))
	case res.Need > r.least:
		r.least = res.Need
		return job.Batch{}, nil
	}
	return job.Batch{Next: r.next}, fmt.Errorf("couldn't read %s: what the broker sends for offset %d does not hold it", r, r.next)
}

func (r *reader) set(p *wire.FetchedPartition) record.Set {
	set := record.Set{Records: p.Records, From: r.next, To: r.to}
	if r.in.readCommitted {
		set.Aborted = p.Aborted
		if set.Aborted == nil {
			set.Aborted = []wire.AbortedTransaction{}
		}
	}
	return set
}

// add appends the message of a record, or passes it. It returns what the message
// holds.
func (r *reader) add(b *job.Batch, rec *record.Record) int64 {
	m, origin, brought, ok := r.messages.Of(r.Topic, r.Partition, rec)
	if !ok {
		pass(b, job.PassedTooLarge, 1)
		r.log.Error("a message is passed over: it is too large and has a content-encoding already",
			zap.Int64("offset", rec.Offset), zap.Int64("bytes", rec.Size), zap.Int64("limits.decompressed", r.in.max))
		return 0
	}
	if brought && b.Origins == nil {
		b.Origins = make([]queue.Origin, len(b.Messages), cap(b.Messages))
	}
	b.Messages = append(b.Messages, m)
	if b.Origins != nil {
		b.Origins = append(b.Origins, origin)
	}
	return m.Held()
}

// spoiledTries is how often what cannot be read is asked for: the bytes may have been
// damaged on the way.
const spoiledTries = 3

// spoil is the error of what cannot be read.
func (r *reader) spoil(err error) error {
	r.spoiled++
	err = fmt.Errorf("couldn't read %s at offset %d (tried %d times): %w", r, r.next, r.spoiled, err)
	if r.spoiled >= spoiledTries {
		return job.Unreadable(err)
	}
	return err
}
