package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/internal/ledger"
)

// natsQueue is a nats-server of this test, in its process.
type natsQueue struct {
	url string
	srv *server.Server
	js  jetstream.JetStream
}

const (
	streamName  = "LOGS"
	durableName = "e2e"
	// ackWait is after how long the broker gives what a killed worker held to the
	// next one: the shortest that flushline accepts.
	ackWait = 6 * time.Second
)

func startNATS(t testing.TB) Queue {
	t.Helper()
	name := "flushline-e2e-" + rand.Text()
	s, err := server.NewServer(&server.Options{
		ServerName: name, Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true,
		StoreDir: t.TempDir(), MaxPayload: 8 << 20, NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatalf("couldn't make a nats-server: %v", err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the nats-server is not ready for connections after 30s")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.Timeout(10*time.Second))
	if err != nil {
		t.Fatalf("couldn't connect to the nats-server: %v", err)
	}
	t.Cleanup(nc.Close)
	if got := nc.ConnectedServerName(); got != name {
		t.Fatalf("%s is answered by the server %q, not by ours", s.ClientURL(), got)
	}
	b := &natsQueue{url: s.ClientURL(), srv: s}
	if b.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return b
}

// Source implements Queue.
func (b *natsQueue) Source() map[string]any {
	return map[string]any{"nats": map[string]any{
		"url": b.url, "stream": streamName, "durable": durableName,
		"subjects": []string{"logs.>"}, "ack_wait": ackWait.String(),
	}}
}

// Send implements Queue.
func (b *natsQueue) Send(load *ledger.Load) ledger.Send { return ledger.ToNATS(b.js, load) }

// Ask implements Queue.
func (b *natsQueue) Ask(ctx context.Context) (Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := b.js.Stream(ctx, streamName)
	if err != nil {
		return Standing{}, fmt.Errorf("couldn't ask for the stream: %w", err)
	}
	c, err := stream.Consumer(ctx, durableName)
	if err != nil {
		return Standing{}, fmt.Errorf("couldn't ask for the consumer: %w", err)
	}
	info := c.CachedInfo()
	return Standing{
		Waiting: int(info.NumPending), Held: info.NumAckPending,
		Acked:   int(info.Delivered.Stream) - info.NumAckPending,
		Drained: info.AckFloor.Stream == stream.CachedInfo().State.LastSeq && info.NumPending == 0 && info.NumAckPending == 0,
	}, nil
}

// Settled implements Queue: the connections of processes that have ended are gone.
func (b *natsQueue) Settled(t testing.TB) Standing {
	t.Helper()
	const ours = 1
	before := -1
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		at, err := b.Ask(t.Context())
		switch {
		case err != nil:
			t.Fatal(err)
		case b.srv.NumClients() > ours && time.Now().After(deadline):
			t.Fatal("the nats-server still has a connection of a worker that has ended")
		case b.srv.NumClients() > ours:
		case at.Acked == before:
			return at
		default:
			before = at.Acked
		}
	}
}

// Letters implements Queue.
func (b *natsQueue) Letters(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, streamName+"_"+durableName+"_DLQ")
	if err != nil {
		return 0, fmt.Errorf("couldn't ask for the dead letters: %w", err)
	}
	return int(s.CachedInfo().State.Msgs), nil
}
