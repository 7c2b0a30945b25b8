package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
)

// link remembers how far the newest connection to an address came, because the
// error of a call that ran out of time would not say it, and what the broker there
// speaks.
type link struct {
	turns *turns

	mu       sync.Mutex
	step     step
	versions map[int16][2]int16
}

// step is what a connection waits for.
type step int

const (
	unused step = iota
	connecting
	securing
	greeting
	signingIn
	opened // nothing was asked yet but by kafka-go
	working
)

var steps = [...]string{
	connecting: "no TCP connection",
	securing:   "no TLS connection",
	greeting:   "no answer to the first request",
	signingIn:  "not signed in",
	opened:     "no answer after the handshake",
	working:    "no answer",
}

func (l *link) at(s step) {
	l.mu.Lock()
	l.step = s
	l.mu.Unlock()
}

// speaks refuses to send what the broker said it does not know: it would close the
// connection without a word.
func (l *link) speaks(a api) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.versions == nil {
		return nil
	}
	return checkVersion(a, l.versions)
}

func checkVersion(a api, versions map[int16][2]int16) error {
	r, known := versions[int16(a.key)]
	switch {
	case !known:
		return fmt.Errorf("%w: it does not know %s", kafka.UnsupportedVersion, a.key)
	case a.version < r[0] || a.version > r[1]:
		return fmt.Errorf("%w: it speaks %s %d to %d, and version %d is needed", kafka.UnsupportedVersion, a.key, r[0], r[1], a.version)
	}
	return nil
}

// stepError says what a connection did not reach.
type stepError struct {
	step       step
	advertised bool // the cluster's metadata named the address, not the configuration
	anonymous  bool // no SASL is configured
	err        error
}

func (e *stepError) Error() string { return steps[e.step] + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

func (c *Client) failedAt(s step, addr string, err error) error {
	return &stepError{s, !slices.Contains(c.cfg.Brokers, addr), c.auth == nil, err}
}

// explain adds how far the connection was to errors that do not know it.
func (c *Client) explain(addr string, l *link, err error) error {
	var known *stepError
	switch over := c.life.Err() != nil; {
	case err == nil:
		return nil
	case over && (errors.Is(err, context.Canceled) || timedOut(err) || cut(err)):
		return ErrClosed
	case errors.As(err, &known) || !timedOut(err) && !cut(err):
		return err
	}
	l.mu.Lock()
	s := l.step
	l.mu.Unlock()
	if s == unused || cut(err) && s != opened {
		s = working // the newest connection is not the one that was cut
	}
	return c.failedAt(s, addr, err)
}

// dial makes a connection that is ready for requests: TCP, TLS, the greeting that
// learns what the broker speaks, SASL.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l, err := c.link(addr)
	if err != nil {
		return nil, err
	}
	l.at(connecting)
	open := c.cfg.Dial
	if open == nil {
		open = new(net.Dialer).DialContext
	}
	raw, err := open(ctx, network, addr)
	if err != nil {
		return nil, c.failedAt(connecting, addr, err)
	}
	conn := &conn{Conn: raw, client: c}
	if at, err := c.handshake(ctx, l, conn, addr); err != nil {
		raw.Close()
		return nil, c.failedAt(at, addr, err)
	}
	l.at(opened)
	return conn, c.adopt(conn)
}

// handshake ends with ctx, and says what it did not reach.
func (c *Client) handshake(ctx context.Context, l *link, conn *conn, addr string) (step, error) {
	raw := conn.Conn
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if c.trust != nil {
		l.at(securing)
		secured, err := c.trust.handshake(ctx, raw, addr)
		if err != nil {
			return securing, err
		}
		conn.Conn = secured
	}
	l.at(greeting)
	versions, err := greet(conn, c.cfg.ClientID)
	if err != nil {
		return greeting, inTime(ctx, err)
	}
	l.mu.Lock()
	l.versions = versions
	l.mu.Unlock()
	if c.auth != nil {
		l.at(signingIn)
		if err := c.auth.signIn(conn, c.cfg.ClientID); err != nil {
			return signingIn, inTime(ctx, err)
		}
	}
	return opened, nil
}

// inTime replaces the error of a connection that was closed because the time ended.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (c *Client) adopt(conn *conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Conn.Close()
		return ErrClosed
	}
	c.conns[conn] = struct{}{}
	return nil
}

// errSessionOver ends a connection before a request is written to it.
var errSessionOver = errors.New("the SASL session of the connection is over")

// conn is one connection; the client closes those that are left at its end.
type conn struct {
	net.Conn
	client  *Client
	expires time.Time // of the SASL session; zero: never
}

func (c *conn) Write(b []byte) (int, error) {
	if !c.expires.IsZero() && time.Now().After(c.expires) {
		return 0, errSessionOver
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.client.mu.Lock()
	delete(c.client.conns, c)
	c.client.mu.Unlock()
	return c.Conn.Close()
}

// talk is one exchange on a connection that is not kafka-go's yet.
func talk(conn net.Conn, a api, client string, body func(*encoder)) (*decoder, error) {
	const id, most = 0, 1 << 20
	frame, err := newFrame(a, id, client, body)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}
	got, err := readAnswer(conn, id, most)
	if err != nil {
		return nil, err
	}
	return &decoder{b: got.body}, nil
}

var apiVersions = api{protocol.ApiVersions, 0}

func greet(conn net.Conn, client string) (map[int16][2]int16, error) {
	d, err := talk(conn, apiVersions, client, nil)
	if err != nil {
		return nil, err
	}
	return parseVersions(d)
}

func parseVersions(d *decoder) (map[int16][2]int16, error) {
	verdict := d.code()
	versions := map[int16][2]int16{}
	for range d.count(6) {
		key := d.int16()
		versions[key] = [2]int16{d.int16(), d.int16()}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return versions, verdict
}
