package faultproxy_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// pair is one connection through a proxy, with both its ends.
type pair struct {
	*testing.T
	proxy          *faultproxy.Proxy
	client, server *net.TCPConn
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func connect(t *testing.T) *pair {
	t.Helper()
	l := listen(t)
	p := &pair{T: t, proxy: faultproxy.New(t, l.Addr().String(), nil)}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []net.Conn{c, s} {
		t.Cleanup(func() { end.Close() })
		if err := end.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	p.client, p.server = c.(*net.TCPConn), s.(*net.TCPConn)
	p.travels(p.client, p.server, "hello")
	p.travels(p.server, p.client, "welcome")
	return p
}

// ways are the ends of each way: who sends, and who gets it.
func (p *pair) ways() map[faultproxy.Way][2]*net.TCPConn {
	return map[faultproxy.Way][2]*net.TCPConn{
		faultproxy.ToServer: {p.client, p.server},
		faultproxy.ToClient: {p.server, p.client},
	}
}

// eachWay runs a test of one fault on each way, with a connection of its own.
func eachWay(t *testing.T, f func(p *pair, w faultproxy.Way, from, to *net.TCPConn)) {
	t.Parallel()
	for _, w := range []faultproxy.Way{faultproxy.ToServer, faultproxy.ToClient} {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			p := connect(t)
			ends := p.ways()[w]
			f(p, w, ends[0], ends[1])
		})
	}
}

func (p *pair) sends(from net.Conn, s string) {
	p.Helper()
	if _, err := io.WriteString(from, s); err != nil {
		p.Fatalf("couldn't send: %v", err)
	}
}

func (p *pair) gets(to net.Conn, want string) {
	p.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(to, b); err != nil || string(b) != want {
		p.Fatalf("got %q (%v), want %q", b[:n], err, want)
	}
}

func (p *pair) travels(from, to net.Conn, s string) {
	p.Helper()
	p.sends(from, s)
	p.gets(to, s)
}

// silent says that nothing comes for a while.
func (p *pair) silent(to net.Conn) {
	p.Helper()
	if err := to.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		p.Fatal(err)
	}
	var one [1]byte
	var timeout net.Error
	if n, err := to.Read(one[:]); n > 0 || !errors.As(err, &timeout) || !timeout.Timeout() {
		p.Fatalf("got %q, %v, want nothing yet", one[:n], err)
	}
	if err := to.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.Fatal(err)
	}
}

// until waits for what was counted.
func (p *pair) until(what string, ok func() bool) {
	p.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("not after %s: %s", patience, what)
		}
	}
}

// takes says that the proxy takes another connection.
func (p *pair) takes(when string) {
	p.Helper()
	c, err := new(net.Dialer).DialContext(p.Context(), "tcp", p.proxy.Addr())
	if err != nil {
		p.Fatalf("a new connection %s: %v", when, err)
	}
	c.Close()
}

func (p *pair) reset(c net.Conn) {
	p.Helper()
	if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		p.Errorf("a connection ended with %v, want a reset", err)
	}
}
