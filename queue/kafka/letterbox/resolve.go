package letterbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// atOnce is how many marks are stored with one Put, which has a time limit.
const atOnce = 10_000

// Resolve implements queue.LetterBox. Each letter has one mark, so it is resolved or not;
// marks are stored when all replicas in sync have them. The done topic is created if it
// is missing.
func (b *box) Resolve(ctx context.Context, ls []*queue.Letter) error {
	ready, refused := queue.SplitArriving(ls, b.now())
	if len(ready) == 0 {
		return refused
	}
	if b.stamp == nil { // the letters are from another box
		now, err := b.spans(ctx, b.letters, false)
		if err != nil {
			return fmt.Errorf("couldn't resolve letters of %s: %w", b.Describe(), err)
		}
		b.stamp = &now[0].stamp
	}
	marks := make([]queue.Message, len(ready))
	for i, l := range ready {
		at, err := b.placeOf(l)
		if err != nil {
			return err
		}
		marks[i] = markOf(at, *b.stamp, l)
	}
	if err := b.put(ctx, marks); err != nil {
		return errors.Join(refused, fmt.Errorf("couldn't resolve letters of %s: %w", b.Describe(), err))
	}
	return refused
}

// placeOf is the partition that a letter lies in.
func (b *box) placeOf(l *queue.Letter) (wire.TopicPartition, error) {
	number, ok := strings.CutPrefix(l.Places[0].Part, b.letters+"-")
	n, err := strconv.ParseInt(number, 10, 32)
	if !ok || err != nil {
		return wire.TopicPartition{}, fmt.Errorf("couldn't resolve the letter %s: it is not of %s", l.Name(), b.Describe())
	}
	return wire.TopicPartition{Topic: b.letters, Partition: int32(n)}, nil
}

// put stores records in the done topic.
func (b *box) put(ctx context.Context, ms []queue.Message) error {
	if len(ms) == 0 {
		return nil
	}
	if b.sink == nil {
		sink, err := kafka.OpenDone(ctx, b.client, b.cfg, b.source)
		if err != nil {
			return err
		}
		b.sink = sink
	}
	for some := range slices.Chunk(ms, atOnce) {
		failed := 0
		var first error
		for _, err := range b.sink.Put(ctx, some) {
			if err != nil {
				if failed++; first == nil {
					first = err
				}
			}
		}
		if first != nil {
			return fmt.Errorf("%d of %d marks were not stored: %w", failed, len(some), kafka.Allowing(b.cfg, first, "Describe,Write", b.done))
		}
	}
	return nil
}
