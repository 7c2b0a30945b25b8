package letterbox

import (
	"context"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Settled is how long marks of deleted letters stay.
const Settled = settled

// Patience changes how long a box tries what may pass.
func Patience(b queue.LetterBox, d time.Duration) { b.(*box).patience = d }

// Clock has a box believe another time.
func Clock(b queue.LetterBox, now func() time.Time) { b.(*box).now = now }

// Stamp is the id of the dead letter topic as it is.
func Stamp(ctx context.Context, b queue.LetterBox) string {
	all, err := b.(*box).spans(ctx, b.(*box).letters, false)
	if err != nil {
		panic(err)
	}
	return all[0].stamp
}

// DeleteBelow deletes of partition 0 of the topic with an id.
func DeleteBelow(ctx context.Context, b queue.LetterBox, stamp string, cut int64) error {
	at := wire.TopicPartition{Topic: b.(*box).letters}
	return b.(*box).deleteBelow(ctx, &span{TopicPartition: at, stamp: stamp}, cut)
}
