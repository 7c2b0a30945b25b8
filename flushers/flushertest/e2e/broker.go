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
)

// broker is a nats-server of this test, in its process: workers die, it does not.
type broker struct {
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

func startBroker(t testing.TB) *broker {
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
	b := &broker{url: s.ClientURL(), srv: s}
	if b.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	return b
}

// standing is how far the stream was consumed.
type standing struct {
	last    uint64 // sequence
	floor   uint64 // all below are acknowledged
	waiting int    // not delivered yet
	held    int    // delivered and not acknowledged
	acked   int    // so far
}

func (s standing) drained() bool { return s.floor == s.last && s.waiting == 0 && s.held == 0 }

func (b *broker) ask(ctx context.Context) (standing, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	stream, err := b.js.Stream(ctx, streamName)
	if err != nil {
		return standing{}, fmt.Errorf("couldn't ask for the stream: %w", err)
	}
	c, err := stream.Consumer(ctx, durableName)
	if err != nil {
		return standing{}, fmt.Errorf("couldn't ask for the consumer: %w", err)
	}
	info := c.CachedInfo()
	return standing{
		last: stream.CachedInfo().State.LastSeq, floor: info.AckFloor.Stream,
		waiting: int(info.NumPending), held: info.NumAckPending,
		acked: int(info.Delivered.Stream) - info.NumAckPending,
	}, nil
}

// settled waits until the server has taken in what processes that have ended sent
// to it: their connections are gone, and no acknowledgement is under way.
func (b *broker) settled(t testing.TB) standing {
	t.Helper()
	const ours = 1
	before := -1
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		at, err := b.ask(t.Context())
		switch {
		case err != nil:
			t.Fatal(err)
		case b.srv.NumClients() > ours && time.Now().After(deadline):
			t.Fatal("the nats-server still has a connection of a worker that has ended")
		case b.srv.NumClients() > ours:
		case at.acked == before:
			return at
		default:
			before = at.acked
		}
	}
}

// letters is how many parts became dead letters.
func (b *broker) letters(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, streamName+"_"+durableName+"_DLQ")
	if err != nil {
		return 0, fmt.Errorf("couldn't ask for the dead letters: %w", err)
	}
	return int(s.CachedInfo().State.Msgs), nil
}
