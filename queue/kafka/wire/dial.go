package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// link remembers how far the newest connection to an address came, because the
// error of a call that ran out of time would not say it.
type link struct {
	mu       sync.Mutex
	step     step
	versions map[int16][2]int16
}

type step int

const (
	idle step = iota
	connecting
	securing
	greeting
	signingIn
	opened // up, nothing asked yet
	working
)

var steps = [...]string{"", "waiting for a TCP connection", "in the TLS handshake", "waiting for its first answer", "in the SASL handshake", "waiting for its first answer after the handshake", ""}

func (l *link) at(s step) {
	l.mu.Lock()
	l.step = s
	l.mu.Unlock()
}

func (l *link) worked() { l.at(working) }

// stepError says in which step a connection failed.
type stepError struct {
	step step
	err  error
}

func (e *stepError) Error() string { return steps[e.step] + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// explain adds how far the connection was to errors that do not know it.
func (c *Client) explain(l *link, err error) error {
	var known *stepError
	if errors.As(err, &known) {
		return err
	}
	l.mu.Lock()
	s := l.step
	l.mu.Unlock()
	if s == idle || s == working || !timedOut(err) && !(cut(err) && s == opened) {
		return err
	}
	return &stepError{s, err}
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
		return nil, &stepError{connecting, err}
	}
	conn := &conn{Conn: raw, client: c}
	if err := c.handshake(ctx, l, conn, addr); err != nil {
		conn.Conn.Close()
		return nil, err
	}
	return conn, c.adopt(conn)
}

func (c *Client) handshake(ctx context.Context, l *link, conn *conn, addr string) error {
	if deadline, given := ctx.Deadline(); given {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // it may be closed already
	defer stop()
	if c.trust != nil {
		l.at(securing)
		secured, err := c.trust.handshake(ctx, conn.Conn, addr)
		if err != nil {
			return &stepError{securing, err}
		}
		conn.Conn = secured
	}
	l.at(greeting)
	versions, err := greet(conn, c.cfg.ClientID)
	if err != nil {
		return &stepError{greeting, err}
	}
	l.mu.Lock()
	l.versions = versions
	l.mu.Unlock()
	if c.auth != nil {
		l.at(signingIn)
		if err := c.auth.signIn(conn, c.cfg.ClientID); err != nil {
			return &stepError{signingIn, err}
		}
	}
	l.at(opened)
	return nil
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
	const id = 0
	frame, err := newFrame(a, id, client, body)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}
	got, err := readAnswer(conn, id, 1<<20)
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

// handshake fails with the certificates' error if the broker's is refused, and with
// the alert if ours is. With TLS 1.3 the latter comes with the first answer only.
func (t *trust) handshake(ctx context.Context, raw net.Conn, addr string) (net.Conn, error) {
	cfg, err := t.config(addr)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(raw, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return secured, nil
}
