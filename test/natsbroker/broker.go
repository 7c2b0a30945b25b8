// Package natsbroker runs real nats-servers for tests, each on a port and in a
// directory of its own, in the test's process.
package natsbroker

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/nats"
)

// Broker is a server of one test, which can be stopped and started again on its
// port and directory.
type Broker struct {
	*testing.T
	Server *server.Server // anew with each Start

	opts server.Options
}

// Start runs a server with JetStream until the test ends.
func Start(t *testing.T, with ...func(*server.Options)) *Broker {
	t.Helper()
	b := &Broker{T: t, opts: server.Options{
		ServerName: fmt.Sprintf("%s-%d", t.Name(), time.Now().UnixNano()),
		Host:       "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}}
	for _, f := range with {
		f(&b.opts)
	}
	b.Start()
	t.Cleanup(b.Stop)
	return b
}

// Of is a server that the test started by itself; srv is nil if it is another
// process.
func Of(t *testing.T, name string, port int, srv *server.Server) *Broker {
	return &Broker{T: t, Server: srv, opts: server.Options{ServerName: name, Port: port}}
}

// Start starts a server that was stopped.
func (b *Broker) Start() {
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
	b.Server = srv
	b.opts.Port = srv.Addr().(*net.TCPAddr).Port
}

// Reconfigure changes what a stopped server starts with.
func Reconfigure(b *Broker, with ...func(*server.Options)) {
	for _, f := range with {
		f(&b.opts)
	}
}

// Stop ends the server in order.
func (b *Broker) Stop() {
	b.Server.Shutdown()
	b.Server.WaitForShutdown()
}

// Config reads the stream LOGS as flushline, subjects logs.>.
func (b *Broker) Config() *nats.Config {
	c := nats.DefaultConfig()
	c.URL = b.URL()
	c.Stream, c.Durable, c.Subjects = "LOGS", "flushline", []string{"logs.>"}
	c.ConnectTimeout = 20 * time.Second
	return &c
}

// Connect connects as Config says.
func (b *Broker) Connect(extra ...natsgo.Option) *nats.Conn {
	b.Helper()
	return b.ConnectAs(b.Config(), extra...)
}

// ConnectAs checks that the server that answers is the one that was started.
func (b *Broker) ConnectAs(cfg *nats.Config, extra ...natsgo.Option) *nats.Conn {
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

// JetStream is the client library's view.
func (b *Broker) JetStream(conn *nats.Conn) jetstream.JetStream {
	b.Helper()
	js, err := conn.JetStream()
	if err != nil {
		b.Fatal(err)
	}
	return js
}
