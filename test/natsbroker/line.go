package natsbroker

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Line is a dialer whose connections can be cut, and refused until they may pass
// again, or swallow what the server says.
type Line struct {
	mu    sync.Mutex
	down  bool
	conns []*wire
}

type wire struct {
	net.Conn
	mute atomic.Bool
}

// Read drops what arrives while the wire is mute.
func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := w.Conn.Read(b)
		if err != nil || !w.mute.Load() {
			return n, err
		}
	}
}

// Dial implements nats.CustomDialer.
func (l *Line) Dial(network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, fmt.Errorf("the line to %s is cut", address)
	}
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: c}
	l.conns = append(l.conns, w)
	return w, nil
}

// Mute lets nothing that the server says through on the connections there are.
func (l *Line) Mute() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.mute.Store(true)
	}
}

// Cut breaks all connections and lets none through.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

// Mend lets connections through again.
func (l *Line) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}
