package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/nats"
)

func askStream(ctx context.Context, conn *nats.Conn, stream string) (*jetstream.StreamInfo, error) {
	info := new(jetstream.StreamInfo)
	if err := conn.Ask(ctx, "STREAM.INFO."+stream, nil, info); err != nil {
		return nil, fmt.Errorf("couldn't read stream %s: %w", stream, err)
	}
	return info, nil
}

func askConsumer(ctx context.Context, conn *nats.Conn, one nats.Consumer) (*jetstream.ConsumerInfo, error) {
	info := new(jetstream.ConsumerInfo)
	if err := conn.Ask(ctx, "CONSUMER.INFO."+one.Stream+"."+one.Durable, nil, info); err != nil {
		return nil, fmt.Errorf("couldn't read consumer %s of stream %s: %w", one.Durable, one.Stream, err)
	}
	return info, nil
}

// beside is a consumer that leaves no trace: it acknowledges nothing, and the
// server removes it when nobody has asked it for that long.
func beside(purpose string, idle time.Duration) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Name:              "flushline-" + purpose + "-" + strings.ToLower(rand.Text()),
		AckPolicy:         jetstream.AckNonePolicy,
		ReplayPolicy:      jetstream.ReplayInstantPolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: idle,
	}
}

// createConsumer does not stop halfway when ctx ends: servers may carry out a deletion
// that comes right behind before the creation.
func createConsumer(ctx context.Context, conn *nats.Conn, stream string, config jetstream.ConsumerConfig) (*jetstream.ConsumerInfo, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	longer, cancel := lingering(ctx)
	defer cancel()
	info := new(jetstream.ConsumerInfo)
	req := map[string]any{"stream_name": stream, "config": config, "action": "create"}
	if err := conn.Ask(longer, "CONSUMER.CREATE."+stream+"."+config.Name, req, info); err != nil {
		var refused *jetstream.APIError
		if !errors.As(err, &refused) { // perhaps only the answer is missing
			deleteConsumer(conn, stream, config.Name)
		}
		return nil, fmt.Errorf("couldn't create a consumer on stream %s to read its history: %w", stream, err)
	}
	return info, nil
}

// lingering is a context that ends a second after ctx.
func lingering(ctx context.Context) (longer context.Context, cancel func()) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, end) })
	return longer, func() {
		stop()
		end()
	}
}

// deleteConsumer does what can be done within a moment; the server does the rest
// when the consumer was idle for long enough.
func deleteConsumer(conn *nats.Conn, stream, name string) {
	ctx, cancel := conn.Within(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Request(ctx, "CONSUMER.DELETE."+stream+"."+name, nil, nil) // as said above
}

// idleFor keeps a wish within what the stream allows its consumers.
func idleFor(wish time.Duration, info *jetstream.StreamInfo) time.Duration {
	if most := info.Config.ConsumerLimits.InactiveThreshold; most > 0 {
		return min(wish, most)
	}
	return wish
}
