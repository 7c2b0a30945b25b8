//go:build unix

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/internal/ledger"
)

// broker is a nats-server child with a store of its own. After a restart it has
// the same port and the same name.
type broker struct {
	name    string
	dir     string
	sync    bool
	tls     *certificate // nil: plain text
	url     string
	durable string // that workers share
	proc    *process
	nc      *nats.Conn // the test's own connection; reconnects at once
	js      jetstream.JetStream
}

const (
	streamName  = "LOGS"
	durableName = "flushline"
)

func startBroker(t *testing.T, sync bool) *broker {
	t.Helper()
	return startBrokerWith(t, &broker{sync: sync})
}

func startBrokerWith(t *testing.T, b *broker) *broker {
	t.Helper()
	b.name, b.dir, b.durable = "e2e-"+rand.Text(), t.TempDir(), durableName
	b.start(t)
	var err error
	b.nc, err = nats.Connect(b.url, append(b.trust(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
		nats.ReconnectJitter(0, 0), nats.Timeout(5*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.nc.Close)
	if b.js, err = jetstream.New(b.nc); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *broker) source(string) string {
	return natsSource(b.url, b.durable, "")
}

// natsSource is the source of a configuration file, with more keys of it.
func natsSource(url, durable, more string) string {
	return fmt.Sprintf("nats: {url: %q, stream: %s, durable: %s, subjects: [logs.>], ack_wait: %s%s}", url, streamName, durable, ackWait, more)
}

func (b *broker) send(_ *testing.T, load *ledger.Load) ledger.Send {
	return ledger.ToNATS(b.js, load)
}

func (b *broker) letters(t *testing.T) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, streamName+"_"+b.durable+"_DLQ")
	if err != nil {
		t.Fatalf("couldn't ask for the dead letters: %v", err)
	}
	return int64(s.CachedInfo().State.Msgs)
}

// start runs the child and makes sure that it is the one that answers.
func (b *broker) start(t *testing.T) {
	t.Helper()
	port := "-1"
	if b.url != "" {
		u, err := url.Parse(b.url)
		if err != nil {
			t.Fatal(err)
		}
		port = u.Port()
	}
	args := []string{"-name", b.name, "-dir", b.dir, "-port", port, fmt.Sprintf("-sync=%t", b.sync)}
	if b.tls != nil {
		args = append(args, "-cert", b.tls.cert, "-key", b.tls.key)
	}
	p, out := start(t, "natsserver", bin+"/natsserver", args...)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatalf("natsserver did not start: %v", err)
	}
	b.proc, b.url = p, strings.TrimSpace(line)
	b.isOurs(t)
}

func (b *broker) isOurs(t *testing.T) {
	t.Helper()
	nc, err := nats.Connect(b.url, append(b.trust(), nats.Timeout(10*time.Second))...)
	if err != nil {
		t.Fatalf("couldn't connect to the server that was just started: %v", err)
	}
	defer nc.Close()
	if got := nc.ConnectedServerName(); got != b.name {
		t.Fatalf("%s is answered by server %q, not by our child %q", b.url, got, b.name)
	}
}

// trust is what a client needs to believe the server.
func (b *broker) trust() []nats.Option {
	if b.tls == nil {
		return nil
	}
	return []nats.Option{nats.RootCAs(b.tls.cert)}
}

func (b *broker) crash(*testing.T) { b.proc.kill() }

func (b *broker) halt(t *testing.T) {
	t.Helper()
	b.proc.signal(syscall.SIGTERM)
	select {
	case <-b.proc.Ended():
	case <-time.After(30 * time.Second):
		t.Fatal("natsserver did not end within 30s of SIGTERM")
	}
}

// consumer is the durable's state.
func (b *broker) consumer(t *testing.T) *jetstream.ConsumerInfo {
	t.Helper()
	info, err := b.tryConsumer(t.Context())
	if err != nil {
		t.Fatalf("couldn't ask for the consumer: %v", err)
	}
	return info
}

func (b *broker) tryConsumer(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := b.js.Consumer(ctx, streamName, b.durable)
	if err != nil {
		return nil, err
	}
	return c.CachedInfo(), nil
}

func (b *broker) lastSeq(t *testing.T) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, streamName)
	if err != nil {
		t.Fatalf("couldn't ask for the stream: %v", err)
	}
	return s.CachedInfo().State.LastSeq
}

// drained waits until every message of the stream is acknowledged.
func (b *broker) drained(t *testing.T, within time.Duration) {
	t.Helper()
	last := b.lastSeq(t)
	var info *jetstream.ConsumerInfo
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		info = b.consumer(t)
		if info.AckFloor.Stream == last && info.NumPending == 0 && info.NumAckPending == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the ack floor is %d of %d after %s; %d pending, %d awaiting acknowledgement",
				info.AckFloor.Stream, last, within, info.NumPending, info.NumAckPending)
		}
	}
}
