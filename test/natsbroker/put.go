package natsbroker

import (
	"context"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// flight is how many messages are under way at a time.
const flight = 500

// Put stores messages and returns when all of them are stored, in the order they were
// given; else it says which one is not. Of several servers one at a time does it: a
// message that found no leader is sent again a quarter of a second later, by nats.go,
// and then lies behind those that came meanwhile.
func Put(ctx context.Context, js jetstream.JetStream, n int, message func(i int) *natsgo.Msg) error {
	var last uint64
	for from := 0; from < n; from += flight {
		acks := make([]jetstream.PubAckFuture, 0, flight)
		for i := from; i < min(from+flight, n); i++ {
			ack, err := js.PublishMsgAsync(message(i))
			if err != nil {
				return fmt.Errorf("couldn't publish message %d: %w", i, err)
			}
			acks = append(acks, ack)
		}
		for i, ack := range acks {
			seq, err := confirmed(ctx, ack)
			if err != nil {
				return fmt.Errorf("message %d is not stored: %w", from+i, err)
			}
			if seq <= last {
				return fmt.Errorf("message %d has sequence %d, the one before it %d", from+i, seq, last)
			}
			last = seq
		}
	}
	return nil
}

func confirmed(ctx context.Context, ack jetstream.PubAckFuture) (seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	select {
	case a := <-ack.Ok():
		return a.Sequence, nil
	case err := <-ack.Err():
		return 0, err
	case <-ctx.Done():
		return 0, fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
}

// PutEach stores messages in order, each once, whichever server leads the stream
// meanwhile. It gives them a Nats-Msg-Id.
func PutEach(ctx context.Context, js jetstream.JetStream, n int, message func(i int) *natsgo.Msg) error {
	var last uint64
	for i := range n {
		m := message(i)
		m.Header.Set(jetstream.MsgIDHeader, natsgo.NewInbox())
		seq, err := putOne(ctx, js, m)
		if err != nil {
			return fmt.Errorf("message %d is not stored: %w", i, err)
		}
		if seq <= last {
			return fmt.Errorf("message %d has sequence %d, the one before it %d", i, seq, last)
		}
		last = seq
	}
	return nil
}

// putOne tries until the message is stored: its id makes another try the same one.
func putOne(ctx context.Context, js jetstream.JetStream, m *natsgo.Msg) (seq uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		once, end := context.WithTimeout(ctx, 3*time.Second)
		ack, err := js.PublishMsg(once, m)
		end()
		switch {
		case err == nil:
			return ack.Sequence, nil
		case ctx.Err() != nil:
			return 0, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
