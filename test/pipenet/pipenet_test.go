package pipenet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/pipenet"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

// pair is a connection of a host, by both ends.
type pair struct {
	*testing.T
	host           *pipenet.Host
	listener       net.Listener
	client, server net.Conn
}

func inBubble(t *testing.T, f func(p *pair, n *pipenet.Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &pipenet.Net{}
		l, err := n.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := &pair{T: t, host: n.Host(), listener: l}
		p.client, p.server = p.connect()
		f(p, n)
		p.must(errors.Join(p.client.Close(), p.server.Close(), l.Close()))
	})
}

func (p *pair) connect() (client, server net.Conn) {
	p.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := p.listener.Accept()
		if err != nil {
			p.Error(err)
		}
		accepted <- c
	}()
	client, err := p.host.DialContext(p.Context(), "tcp", p.listener.Addr().String())
	if err != nil {
		p.Fatal(err)
	}
	return client, <-accepted
}

// must is for calls that never fail.
func (p *pair) must(err error) {
	p.Helper()
	if err != nil {
		p.Error(err)
	}
}

func (p *pair) send(c net.Conn, text string) {
	p.Helper()
	if n, err := c.Write([]byte(text)); err != nil || n != len(text) {
		p.Errorf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

func (p *pair) gets(c net.Conn, want string) {
	p.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		p.Errorf("read %q, %v; want %q", b, err, want)
	}
}

func (p *pair) fails(what string, err, want error) {
	p.Helper()
	var op *net.OpError
	if !errors.Is(err, want) || !errors.As(err, &op) {
		p.Errorf("%s: %v, want a net.OpError of %v", what, err, want)
	}
}

func (p *pair) readFails(c net.Conn, want error) {
	p.Helper()
	n, err := c.Read(make([]byte, 1))
	if n > 0 {
		p.Errorf("read %d bytes", n)
	}
	p.fails("read", err, want)
}

func TestBytesArriveInOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		sent := bytes.Repeat([]byte("0123456789abcdef"), 20_000) // more than the buffer
		go func() {
			if _, err := p.client.Write(sent); err != nil {
				p.Error(err)
			}
			p.must(p.client.Close())
		}()
		got, err := io.ReadAll(p.server)
		if err != nil || !bytes.Equal(got, sent) {
			p.Errorf("%d of %d bytes arrived: %v", len(got), len(sent), err)
		}
		if _, err := p.server.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			p.Errorf("a write to one that closed: %v", err)
		}
		for _, c := range []net.Conn{p.client, p.server} {
			if _, is := c.LocalAddr().(*net.TCPAddr); !is || c.RemoteAddr().Network() != "tcp" {
				p.Errorf("addresses %v and %v", c.LocalAddr(), c.RemoteAddr())
			}
		}
	})
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		began := time.Now()
		p.must(p.client.SetReadDeadline(began.Add(3 * time.Second)))
		p.readFails(p.client, os.ErrDeadlineExceeded)
		p.must(p.client.SetWriteDeadline(began.Add(5 * time.Second)))
		n, err := p.client.Write(make([]byte, 1<<20))
		p.fails("write", err, os.ErrDeadlineExceeded)
		if took := time.Since(began); took != 5*time.Second || n != 64<<10 {
			p.Errorf("after %v %d bytes were on their way", took, n)
		}
		p.must(p.client.SetDeadline(time.Time{}))
		p.send(p.server, "x")
		p.gets(p.client, "x")
		go func() {
			time.Sleep(time.Second)
			p.must(p.client.SetReadDeadline(time.Now()))
		}()
		p.readFails(p.client, os.ErrDeadlineExceeded)
	})
}

func TestCut(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		p.send(p.client, "lost")
		if n := p.host.Cut(); n != 1 {
			p.Errorf("%d connections were cut", n)
		}
		p.readFails(p.server, syscall.ECONNRESET)
		p.readFails(p.client, syscall.ECONNRESET)
		client, server := p.connect()
		p.send(client, "again")
		p.gets(server, "again")
		p.must(client.Close())
		if n := p.host.Cut(); n != 1 { // the first, which nobody has closed
			p.Errorf("%d connections were left", n)
		}
	})
}

func TestCutInTheMiddle(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		cuts := 0
		p.host.CutAfter(6, pipenet.Up, func() { cuts++ })
		p.send(p.server, "the other way is not counted")
		p.send(p.client, "four")
		n, err := p.client.Write([]byte("four"))
		p.fails("write", err, syscall.ECONNRESET)
		if n != 2 || cuts != 1 {
			p.Errorf("%d bytes were written, %d cuts", n, cuts)
		}
		p.readFails(p.server, syscall.ECONNRESET)
	})
}

func TestWhatIsHeldArrivesLater(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		p.host.Hold(pipenet.Up)
		p.send(p.client, "late")
		p.send(p.server, "this way is open")
		p.gets(p.client, "this way is open")
		p.must(p.server.SetReadDeadline(time.Now().Add(time.Minute)))
		p.readFails(p.server, os.ErrDeadlineExceeded)
		p.must(p.server.SetReadDeadline(time.Time{}))
		ctx, cancel := context.WithTimeout(p.Context(), time.Second)
		defer cancel()
		_, err := p.host.DialContext(ctx, "tcp", p.listener.Addr().String())
		p.fails("dial", err, context.DeadlineExceeded)
		began := time.Now()
		go func() {
			time.Sleep(time.Hour)
			p.host.Release()
		}()
		client, server := p.connect()
		if took := time.Since(began); took != time.Hour {
			p.Errorf("the dial took %v", took)
		}
		p.gets(p.server, "late")
		p.send(client, "new")
		p.gets(server, "new")
		p.must(errors.Join(client.Close(), server.Close()))
	})
}

// What a connection still held when it was closed does not arrive.
func TestAClosedConnectionForgetsWhatItHeld(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		p.host.Hold(pipenet.Both)
		p.send(p.client, "never")
		p.must(p.client.Close())
		p.host.Release()
		if b, err := io.ReadAll(p.server); err != nil || len(b) > 0 {
			p.Errorf("%q arrived: %v", b, err)
		}
	})
}

func TestDelayKeepsTheOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		began := time.Now()
		p.host.Delay(300 * time.Millisecond)
		p.send(p.client, "slow")
		p.host.Delay(0)
		p.send(p.client, " fast")
		p.must(p.client.Close())
		b, err := io.ReadAll(p.server)
		if took := time.Since(began); err != nil || string(b) != "slow fast" || took != 300*time.Millisecond {
			p.Errorf("%q after %v: %v", b, took, err)
		}
	})
}

func TestOneDirectionEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, _ *pipenet.Net) {
		p.send(p.client, "last")
		if n := p.host.Shut(pipenet.Up); n != 1 {
			p.Errorf("%d connections were shut", n)
		}
		if b, err := io.ReadAll(p.server); err != nil || string(b) != "last" {
			p.Errorf("%q, %v", b, err)
		}
		p.send(p.server, "still here")
		p.gets(p.client, "still here")
		_, err := p.client.Write([]byte("x"))
		p.fails("write", err, net.ErrClosed)
	})
}

func TestDialsThatFail(t *testing.T) {
	t.Parallel()
	inBubble(t, func(p *pair, n *pipenet.Net) {
		dial := func(addr string) error {
			_, err := p.host.DialContext(p.Context(), "tcp", addr)
			return err
		}
		addr := p.listener.Addr().String()
		p.host.Refuse(true)
		p.fails("refused", dial(addr), syscall.ECONNREFUSED)
		p.host.Refuse(false)
		burnt := n.Host()
		burnt.Kill()
		burnt.Refuse(false)
		_, err := burnt.DialContext(p.Context(), "tcp", addr)
		p.fails("killed", err, syscall.ECONNREFUSED)
		p.fails("nobody listens", dial("127.0.0.1:1"), syscall.ECONNREFUSED)
		if err := dial("192.0.2.1:9092"); err == nil || !strings.Contains(err.Error(), "loopback") {
			p.Errorf("another network: %v", err)
		}
		_, err = n.Listen("tcp", addr)
		p.fails("listen", err, syscall.EADDRINUSE)
		p.must(p.listener.Close())
		p.fails("closed", dial(addr), syscall.ECONNREFUSED)
		if p.listener, err = n.Listen("tcp", addr); err != nil {
			p.Error(err)
		}
		if cut := n.CutPort(p.listener.Addr().(*net.TCPAddr).Port); cut != 1 {
			p.Errorf("%d connections were left of the old listener", cut)
		}
		p.readFails(p.client, syscall.ECONNRESET)
	})
}
