package flushertest

import (
	"testing"

	"github.com/flushline/flushline/internal/faultproxy"
)

// Proxy stands before a TCP server on loopback, so that it can be broken, healed
// and made to hang without its help. Connections that hang go on when it is
// healed. Safe for concurrent use.
type Proxy struct{ p *faultproxy.Proxy }

// NewProxy listens on a free port of loopback and connects each connection to the
// server at addr. It ends with the test. Nobody else gets its address while it is
// broken.
func NewProxy(tb testing.TB, addr string) *Proxy {
	tb.Helper()
	return &Proxy{faultproxy.New(tb, addr, nil)}
}

// Addr is host and port of the proxy.
func (p *Proxy) Addr() string { return p.p.Addr() }

// Break cuts all connections; new ones are refused.
func (p *Proxy) Break() { p.p.Break() }

// Hang keeps all connections, takes new ones, and passes nothing on.
func (p *Proxy) Hang() {
	p.p.Heal()
	p.p.Set(faultproxy.ToServer, faultproxy.Fault{Hold: true})
	p.p.Set(faultproxy.ToClient, faultproxy.Fault{Hold: true})
}

// Heal ends Break and Hang.
func (p *Proxy) Heal() { p.p.Heal() }
