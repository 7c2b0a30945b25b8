package pipenet

import (
	"errors"
	"io"
	"net"
	"time"
)

// conn is one end of a connection.
type conn struct {
	in, out       *stream
	local, remote *net.TCPAddr
	left          func() // called when the host closes its end; the listener's end has none
}

var _ net.Conn = (*conn)(nil)

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.failed("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.failed("write", err)
}

// failed says what package net would.
func (c *conn) failed(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) Close() error {
	c.in.forsake()
	c.out.end()
	if c.left != nil {
		c.left()
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.update(func() { c.in.readBy = t })
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.update(func() { c.out.writeBy = t })
	return nil
}

// link is a connection with both its directions, as a host's faults see it.
type link struct{ up, down *stream }

func (l *link) streams(w Way) []*stream {
	switch w {
	case Up:
		return []*stream{l.up}
	case Down:
		return []*stream{l.down}
	}
	return []*stream{l.up, l.down}
}

func (l *link) reset() {
	l.up.reset()
	l.down.reset()
}
