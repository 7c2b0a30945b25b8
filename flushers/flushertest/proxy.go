package flushertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Proxy stands before a TCP server on loopback, so that it can be broken, healed
// and made to hang without its help. Connections that hang go on when it is
// healed. Safe for concurrent use.
type Proxy struct {
	tb   testing.TB
	to   string
	addr string

	mu       sync.Mutex
	changed  *sync.Cond
	listener net.Listener // nil: broken
	hanging  bool
	conns    map[net.Conn]bool
	wg       sync.WaitGroup
}

// NewProxy listens on a free port of loopback and connects each connection to the
// server at addr. It ends with the test. Nobody else gets its address while it is
// broken.
func NewProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	p := &Proxy{tb: tb, to: addr, conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	if err := p.begin(); err != nil {
		tb.Fatalf("couldn't start a proxy before %s: %v", addr, err)
	}
	p.addr = p.listener.Addr().String()
	tb.Cleanup(p.end)
	return p
}

// Addr is host and port of the proxy.
func (p *Proxy) Addr() string { return p.addr }

// Break cuts all connections; new ones are refused.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = false
	p.closeLocked()
}

// Hang keeps all connections, takes new ones, and passes nothing on.
func (p *Proxy) Hang() {
	p.Heal()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = true
}

// Heal ends Break and Hang.
func (p *Proxy) Heal() {
	p.tb.Helper()
	p.mu.Lock()
	p.hanging = false
	p.changed.Broadcast()
	up := p.listener != nil
	p.mu.Unlock()
	for end := time.Now().Add(10 * time.Second); !up; time.Sleep(50 * time.Millisecond) {
		err := p.listen(p.addr)
		if up = err == nil; !up && time.Now().After(end) {
			p.tb.Fatalf("couldn't listen on %s again: %v", p.addr, err)
		}
	}
}

func (p *Proxy) end() {
	p.mu.Lock()
	p.hanging = false
	p.closeLocked()
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) closeLocked() {
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as of a host that went away
		}
		_ = c.Close()
	}
	clear(p.conns)
	p.changed.Broadcast()
}

// A proxy that is broken does not listen. If its port was one of those that systems
// give out (Linux from 32768, others from 49152), another server could get it
// meanwhile and answer in its place. Linux has other loopback addresses as well: there
// no two proxies meet either.
const (
	lowestPort  = 12000
	highestPort = 20000
)

func (p *Proxy) begin() (err error) {
	for range 100 {
		host := "127.0.0.1"
		if runtime.GOOS == "linux" {
			host = fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if err = p.listen(net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return nil
		}
	}
	return err
}

func (p *Proxy) listen(addr string) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = l
	p.wg.Go(func() { p.accept(l) })
	return nil
}

func (p *Proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		p.wg.Go(func() { p.serve(l, c) })
	}
}

// serve passes bytes on in both directions until both have ended.
func (p *Proxy) serve(l net.Listener, client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.to)
	if err != nil {
		_ = client.Close()
		return
	}
	if !p.keep(l, client, server) {
		return
	}
	defer p.drop(client, server)
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client) })
	both.Go(func() { p.pass(client, server) })
	both.Wait()
}

// keep refuses connections of a listener that was closed meanwhile.
func (p *Proxy) keep(l net.Listener, conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.listener != l {
			_ = c.Close()
		} else {
			p.conns[c] = true
		}
	}
	return p.listener == l
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *Proxy) pass(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.await()
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = errors.Join(err, fmt.Errorf("couldn't pass bytes on: %w", werr))
			}
		}
		if err != nil {
			closeWrite(to)
			if !errors.Is(err, io.EOF) {
				_ = from.Close()
			}
			return
		}
	}
}

// await waits while the proxy hangs.
func (p *Proxy) await() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hanging {
		p.changed.Wait()
	}
}

// closeWrite passes the end of one direction on.
func closeWrite(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
		return
	}
	_ = c.Close()
}
