package sim

import (
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
)

var errNoRoute = errors.New("sim: no route to the server")

// network is the way to the server of the moment. Everybody goes through a door of
// their own.
type network struct {
	mu    sync.Mutex
	srv   *server.Server
	doors map[*pod]*door
}

// set makes another server the one that answers, and returns the one before; nil:
// none answers.
func (n *network) set(srv *server.Server) (before *server.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before, n.srv = n.srv, srv
	return before
}

func (n *network) server() *server.Server {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.srv
}

// door is a new way in, for a pod or (nil) for the world itself.
func (n *network) door(p *pod) *door {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.doors == nil {
		n.doors = map[*pod]*door{}
	}
	n.doors[p] = &door{network: n, p: p}
	return n.doors[p]
}

func (n *network) of(p *pod) *door {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.doors[p]
}

// all are the doors there are.
func (n *network) all() []*door {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.doors))
}

// door is one client's way to the server. It is a nats.InProcessConnProvider.
type door struct {
	network *network
	p       *pod

	mu     sync.Mutex
	closed bool // for good
	gone   bool // for a while
	conns  []*wire
}

// InProcessConn opens a connection.
func (d *door) InProcessConn() (net.Conn, error) {
	srv := d.network.server()
	d.mu.Lock()
	defer d.mu.Unlock()
	if srv == nil || d.closed || d.gone {
		return nil, errNoRoute
	}
	c, err := srv.InProcessConn()
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: c, ended: make(chan struct{})}
	if d.p != nil {
		w.acks.book = d.p.w.book
	}
	d.conns = append(d.conns, w)
	return w, nil
}

// shut ends all connections, for good.
func (d *door) shut() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cut()
}

// away lets nobody in, or everybody again.
func (d *door) away(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = on
}

// cut ends the connections there are. It says how many were open.
func (d *door) cut() int {
	n := 0
	for _, c := range d.open() {
		_ = c.Close() // it is over, whatever it says
		n++
	}
	return n
}

// open are the connections that have not ended.
func (d *door) open() []*wire {
	d.mu.Lock()
	defer d.mu.Unlock()
	var live []*wire
	for _, c := range d.conns {
		select {
		case <-c.ended:
		default:
			live = append(live, c)
		}
	}
	d.conns = live
	return append([]*wire(nil), live...)
}

// wire is a connection that can go wrong in its ways.
type wire struct {
	net.Conn
	acks ackReader

	deafServer atomic.Bool  // what the client says is swallowed
	deafClient atomic.Bool  // what the server says is swallowed
	swallowed  atomic.Int64 // bytes
	snap       atomic.Int64 // breaks after so many more bytes of the server; 0: not
	stalled    atomic.Pointer[chan struct{}]

	once  sync.Once
	ended chan struct{}
}

func (c *wire) Close() error {
	c.once.Do(func() { close(c.ended) })
	return c.Conn.Close()
}

func (c *wire) Write(b []byte) (int, error) {
	c.acks.read(b)
	if c.deafServer.Load() {
		c.swallowed.Add(int64(len(b)))
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *wire) Read(b []byte) (int, error) {
	for {
		if ch := c.stalled.Load(); ch != nil {
			select {
			case <-*ch:
			case <-c.ended:
			}
		}
		if left := c.snap.Load(); left > 0 {
			b = b[:min(len(b), int(left))]
		}
		n, err := c.Conn.Read(b)
		if left := c.snap.Load(); left > 0 && c.snap.Add(-int64(n)) <= 0 {
			_ = c.Close() // as above
		}
		if err != nil || !c.deafClient.Load() {
			return n, err
		}
		c.swallowed.Add(int64(n))
	}
}
