package nats_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/test/natsbroker"
)

// broker is a real server of one test, which can be stopped and started again on
// its port and directory.
type broker struct{ *natsbroker.Broker }

func startBroker(t *testing.T, with ...func(*server.Options)) *broker {
	t.Helper()
	return &broker{natsbroker.Start(t, with...)}
}

func (b *broker) start()               { b.Helper(); b.Start() }
func (b *broker) stop()                { b.Stop() }
func (b *broker) config() *nats.Config { return b.Config() }

func (b *broker) connect(cfg *nats.Config, extra ...natsgo.Option) *nats.Conn {
	b.Helper()
	return b.ConnectAs(cfg, extra...)
}

func (b *broker) js(conn *nats.Conn) jetstream.JetStream {
	b.Helper()
	return b.JetStream(conn)
}

// setUp makes what cfg names, dead letters included.
func (b *broker) setUp(conn *nats.Conn, cfg *nats.Config) {
	b.Helper()
	if _, err := nats.Setup(b.Context(), conn, cfg, nats.SetupOptions{DeadLetters: true}); err != nil {
		b.Fatal(err)
	}
}

// stored reads a whole stream.
func (b *broker) stored(conn *nats.Conn, stream string) []*jetstream.RawStreamMsg {
	b.Helper()
	s, err := b.js(conn).Stream(b.Context(), stream)
	if err != nil {
		b.Fatal(err)
	}
	st := s.CachedInfo().State
	var out []*jetstream.RawStreamMsg
	for seq := st.FirstSeq; seq <= st.LastSeq && st.Msgs > 0; seq++ {
		m, err := s.GetMsg(b.Context(), seq)
		if err != nil {
			b.Fatalf("message %d of %s: %v", seq, stream, err)
		}
		out = append(out, m)
	}
	return out
}

// mute is a dialer whose connections can be told to swallow what the server
// says, and to break.
type mute struct {
	mu    sync.Mutex
	on    bool
	conns []net.Conn
}

func (m *mute) Dial(network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conns = append(m.conns, c)
	return &mutedConn{c, m, len(m.conns)}, nil
}

type mutedConn struct {
	net.Conn
	m      *mute
	number int
}

// Read of the first connection drops what arrives while muted.
func (c *mutedConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		c.m.mu.Lock()
		drop := c.m.on && c.number == 1
		c.m.mu.Unlock()
		if err != nil || !drop {
			return n, err
		}
	}
}

func (m *mute) set(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on = on
}

// cut breaks the first connection.
func (m *mute) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.conns[0].Close()
}
