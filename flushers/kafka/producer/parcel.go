package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// parcel is what one call brings to one leader. Requests read its messages only under
// mu and only until the call has left: a call whose time is up takes its memory back,
// whatever becomes of the request. So nothing has to be copied before it is encoded.
type parcel struct {
	to    *leader
	items []item

	mu   sync.Mutex
	left bool // the messages are their caller's again
}

// item is one message of a parcel.
type item struct {
	at      wire.TopicPartition
	topic   *topic
	message *Message
	size    int  // bytes in a batch at most
	done    bool // Err says what came of it
}

// send joins the next request to the leader and waits for what comes of it.
func (b *parcel) send(ctx context.Context) {
	size := int64(0)
	for i := range b.items {
		size += int64(b.items[i].size)
	}
	err := b.to.commit.Join(ctx, b, size, false)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = true
	if err == nil {
		err = errUntold
	}
	err = classify(fmt.Errorf("couldn't store at broker %s: %w", b.to.addr, err))
	for i := range b.items {
		if it := &b.items[i]; !it.done {
			it.message.Err = err
		}
	}
}

var errUntold = errors.New("the request ended without saying what came of this record")

// finish notes what came of an item. The parcel's lock is held.
func (b *parcel) finish(i int, err error) {
	if it := &b.items[i]; !b.left && !it.done {
		it.message.Err, it.done = err, true
	}
}
