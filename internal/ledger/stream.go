package ledger

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ReadStream goes through a JetStream stream from its first message to the one that
// is the last when it begins, and calls each for every log. No subjects: all.
func ReadStream(ctx context.Context, js jetstream.JetStream, stream string, subjects []string, f Files, each func(Sighting)) (Tally, error) {
	t := Tally{Files: 1}
	consumer, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: subjects})
	if err != nil {
		return t, fmt.Errorf("couldn't read stream %s: %w", stream, err)
	}
	left := consumer.CachedInfo().NumPending
	if left == 0 {
		return t, nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return t, fmt.Errorf("couldn't read stream %s: %w", stream, err)
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return t, fmt.Errorf("couldn't read stream %s with %d messages to come: %w", stream, left, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return t, fmt.Errorf("couldn't read stream %s: %w", stream, err)
		}
		v := Value{Place: stream, Key: KeyOf(msg.Headers().Get), At: meta.Timestamp, Data: msg.Data()}
		f.Value(&v, func(s Sighting) {
			t.Logs++
			each(s)
		})
	}
	return t, nil
}
