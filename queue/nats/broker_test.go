package nats_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/nats"
)

// broker is a real server of one test, which can be stopped and started again on
// its port and directory.
type broker struct {
	*testing.T
	opts server.Options
	srv  *server.Server
}

func startBroker(t *testing.T, with ...func(*server.Options)) *broker {
	t.Helper()
	b := &broker{T: t, opts: server.Options{
		ServerName: fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano()),
		Host:       "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}}
	for _, f := range with {
		f(&b.opts)
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *broker) start() {
	b.Helper()
	opts := b.opts
	srv, err := server.NewServer(&opts)
	if err != nil {
		b.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		b.Fatal("the server is not ready")
	}
	b.srv = srv
	b.opts.Port = srv.Addr().(*net.TCPAddr).Port
}

func (b *broker) stop() {
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
}

func (b *broker) config() *nats.Config {
	c := nats.DefaultConfig()
	c.URL = fmt.Sprintf("nats://127.0.0.1:%d", b.opts.Port)
	c.Stream, c.Durable, c.Subjects = "LOGS", "flushline", []string{"logs.>"}
	c.ConnectTimeout = 20 * time.Second
	return &c
}

// connect checks that the server that answers is the one that was started.
func (b *broker) connect(cfg *nats.Config, extra ...natsgo.Option) *nats.Conn {
	b.Helper()
	conn, err := nats.Connect(b.Context(), cfg, nil, extra...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	if got := conn.NATS().ConnectedServerName(); got != b.opts.ServerName {
		b.Fatalf("reached server %q, want %q", got, b.opts.ServerName)
	}
	return conn
}

func (b *broker) js(conn *nats.Conn) jetstream.JetStream {
	b.Helper()
	js, err := jetstream.New(conn.NATS())
	if err != nil {
		b.Fatal(err)
	}
	return js
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
