package nats

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// line numbers the network connections under one nats.Conn. nats.go tells of a
// disconnect and a reconnect from a goroutine of its own, some time afterwards;
// an acknowledgement must know at once whether the server it would reach is the
// one whose consumer was confirmed.
type line struct {
	last atomic.Int64 // number of the newest connection
	live atomic.Int64 // number of the connection that is up; 0: none

	refusal atomic.Pointer[error] // why the last dial failed; nats.go only says that none succeeded
}

func newLine() *line { return &line{} }

// number is the connection that is up now, 0 if none is.
func (l *line) number() int64 { return l.live.Load() }

// wrap makes each connection that o opens carry its number.
func (l *line) wrap(o *nats.Options) {
	if o.InProcessServer != nil {
		o.InProcessServer = lineInProcess{l, o.InProcessServer}
		return
	}
	dialer := o.CustomDialer
	if dialer == nil {
		dialer = &net.Dialer{Timeout: 2 * time.Second}
	}
	o.CustomDialer = lineDialer{l, dialer}
}

func (l *line) open(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		l.refusal.Store(&err)
		return nil, err
	}
	n := l.last.Add(1)
	l.live.Store(n)
	return &lineConn{Conn: c, line: l, number: n}, nil
}

type lineDialer struct {
	line *line
	next nats.CustomDialer
}

func (d lineDialer) Dial(network, address string) (net.Conn, error) {
	return d.line.open(d.next.Dial(network, address))
}

type lineInProcess struct {
	line *line
	next nats.InProcessConnProvider
}

func (p lineInProcess) InProcessConn() (net.Conn, error) { return p.line.open(p.next.InProcessConn()) }

// lineConn takes its number away when it ends, before nats.go looks for another
// server.
type lineConn struct {
	net.Conn
	line   *line
	number int64
}

func (c *lineConn) down() { c.line.live.CompareAndSwap(c.number, 0) }

func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !isTimeout(err) {
		c.down()
	}
	return n, err
}

func (c *lineConn) Close() error {
	c.down()
	return c.Conn.Close()
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// broadcast wakes everyone who waits, any number of times.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

// wait is closed at the next tell.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *broadcast) tell() {
	b.mu.Lock()
	close(b.ch)
	b.ch = make(chan struct{})
	b.mu.Unlock()
}
