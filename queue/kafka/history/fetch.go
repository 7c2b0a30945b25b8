package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	leastSet   = 16 << 10  // bytes in the log to ask for; below, an answer would be mostly its own framing
	mostSet    = 1 << 20   // bytes in the log to ask for: what an answer holds beside the messages made of it
	largestSet = 256 << 20 // a batch that is larger than this cannot be read

	// maxWait is how long a broker may wait for messages. In a range there are some.
	maxWait = 500 * time.Millisecond

	// answerTimeout is how long it may take for an answer beyond that.
	answerTimeout = 20 * time.Second
)

// fetch asks for what lies at next and keeps the answer, or says how many offsets are
// gone from the log before the first that is there.
func (r *reader) fetch(ctx context.Context, bytes int64) (gone int64, err error) {
	for {
		if err := sleepUntil(ctx, r.notBefore); err != nil {
			return 0, fmt.Errorf("couldn't read %s: %w", r, err)
		}
		addr, err := r.address(ctx)
		if err != nil {
			return 0, err
		}
		asking, cancel := context.WithTimeout(ctx, maxWait+answerTimeout)
		a, err := r.in.client.Fetch(asking, addr, r.request(bytes))
		cancel()
		if err != nil {
			r.astray()
			return 0, fmt.Errorf("couldn't read %s at offset %d: %w", r, r.next, advised(err))
		}
		r.notBefore = time.Now().Add(a.Throttle)
		if len(a.Partitions) != 1 || a.Partitions[0].TopicPartition != r.TopicPartition {
			a.Release()
			return 0, fmt.Errorf("couldn't read %s: broker %s answers for something else", r, addr)
		}
		p := &a.Partitions[0]
		if len(p.Records) > 0 && p.Err == nil {
			r.kept, r.took, r.short = a, 0, time.Time{}
			return 0, nil
		}
		said := *p // lies beside the answer's buffer
		a.Release()
		again, gone, err := r.without(ctx, addr, &said, a.Throttle > 0)
		if !again {
			return gone, err
		}
	}
}

// without draws the conclusions from an answer that brought nothing.
func (r *reader) without(ctx context.Context, addr string, p *wire.FetchedPartition, throttled bool) (again bool, gone int64, err error) {
	code, _ := wire.Code(p.Err)
	switch {
	case code == kafkago.OffsetOutOfRange:
		r.confirmed = time.Time{}
		gone, err = r.relocate(ctx)
		return false, gone, err
	case code == kafkago.InvalidMessage, code == kafkago.UnsupportedCompressionType:
		return false, 0, r.spoil(&wire.Error{Op: "fetch", Broker: addr, Err: p.Err})
	case p.Err != nil:
		r.astray()
		return false, 0, fmt.Errorf("couldn't read %s at offset %d: %w", r, r.next, advised(&wire.Error{Op: "fetch", Broker: addr, Err: p.Err}))
	case p.PreferredReplica >= 0 && p.PreferredReplica != r.replica:
		r.replica = p.PreferredReplica
		return true, 0, nil
	case throttled:
		return true, 0, nil
	}
	end := p.HighWatermark
	if r.in.readCommitted && p.LastStable >= 0 {
		end = p.LastStable
	}
	r.astray() // this one may have fallen behind
	if end < r.to {
		return false, 0, r.tailless(fmt.Errorf("couldn't read %s at offset %d: at broker %s the log ends at %d, before the end of the range at %d", r, r.next, addr, end, r.to))
	}
	return false, 0, fmt.Errorf("couldn't read %s at offset %d: broker %s sends nothing, although its log ends at %d", r, r.next, addr, end)
}

// relocate decides what became of a position that is not in the log.
func (r *reader) relocate(ctx context.Context) (gone int64, err error) {
	if err := r.confirm(ctx); err != nil {
		return 0, err
	}
	b, err := r.in.book.Leader(ctx, r.TopicPartition)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	first, err := offsetAt(ctx, r.in.client, b.Addr(), r.TopicPartition, wire.Earliest)
	if err != nil {
		r.astray()
		return 0, err
	}
	if first > r.next {
		return min(first, r.to) - r.next, nil
	}
	r.astray()
	return 0, r.tailless(fmt.Errorf("couldn't read %s: broker %s does not have offset %d, although its log begins at %d", r, b.Addr(), r.next, first))
}

// tailless is the error of a log that ends within the range, which it did not when
// that was planned. A new leader may not know at once how far its log may be read.
func (r *reader) tailless(err error) error {
	now := time.Now()
	if r.short.IsZero() {
		r.short = now
	}
	if now.Sub(r.short) < r.in.tail {
		return err
	}
	return job.Unreadable(fmt.Errorf("%w; it has been so for %v: a replica without these messages became leader, and they are lost", err, now.Sub(r.short).Round(time.Second)))
}

func offsetAt(ctx context.Context, client *wire.Client, addr string, at wire.TopicPartition, t int64) (int64, error) {
	got, err := client.ListOffsets(ctx, addr, false, []wire.OffsetAt{{TopicPartition: at, Time: t}})
	if err == nil {
		err = got[at].Err
	}
	if err != nil {
		return -1, fmt.Errorf("couldn't ask for the offsets of %s: %w", at, advised(err))
	}
	return got[at].Offset, nil
}

// address is the broker to ask: the leader, or the replica that it named as nearer.
func (r *reader) address(ctx context.Context) (string, error) {
	if b, ok := r.in.book.Broker(r.replica); ok && r.replica >= 0 {
		return b.Addr(), nil
	}
	b, err := r.in.book.Leader(ctx, r.TopicPartition)
	return b.Addr(), err
}

// astray says that the broker we asked may be the wrong one.
func (r *reader) astray() {
	r.replica = -1
	r.confirmed = time.Time{}
	r.in.book.Doubt()
}

// request asks for as many bytes of the log as become about so many bytes held.
func (r *reader) request(bytes int64) *wire.FetchRequest {
	most := max(min(max(int64(float64(bytes)/r.ratio), leastSet), mostSet), r.least)
	return &wire.FetchRequest{
		MaxWait: maxWait, MinBytes: 1, MaxBytes: int32(most),
		ReadCommitted: r.in.readCommitted, Rack: r.in.rack,
		Partitions: []wire.FetchPartition{{TopicPartition: r.TopicPartition, Offset: r.next, LeaderEpoch: -1, MaxBytes: int32(most)}},
	}
}

// learn takes over what n messages taken from an answer held, half as much as was
// known. Of one that is not read to its end nothing can be said but that it has more.
func (r *reader) learn(n int, held int64, inLog int, more bool) {
	r.count = n
	r.took += held
	if r.took == 0 {
		return
	}
	ratio := float64(r.took) / float64(inLog)
	if !more || ratio > r.ratio {
		r.ratio = max(1, r.ratio+(ratio-r.ratio)/2)
	}
}

func sleepUntil(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// advised adds what to do about an error.
func advised(err error) error {
	if advice := wire.Advice(err); advice != "" && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}
