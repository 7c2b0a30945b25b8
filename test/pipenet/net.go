package pipenet

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Net is a network of one loopback address. All methods, and those of what it makes,
// may be called from any goroutine. The zero Net is ready for use.
type Net struct {
	mu        sync.Mutex
	listeners map[int]*listener
	links     map[*link]int // with the port that was dialled
	last      int           // port given to a listener, or to the end of a connection, that named none
}

const firstPort = 20_000

// Listen listens on a port of 127.0.0.1; port 0 is one that nobody had. The port is
// free again when the listener is closed.
func (n *Net) Listen(network, address string) (net.Listener, error) {
	port, err := portOf(address)
	if err != nil {
		return nil, fmt.Errorf("couldn't listen on %s: %w", address, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == 0 {
		port = n.unused()
	}
	if n.listeners[port] != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addr(port), Err: syscall.EADDRINUSE}
	}
	l := &listener{of: n, port: port, arriving: make(chan *conn), closed: make(chan struct{})}
	if n.listeners == nil {
		n.listeners = map[int]*listener{}
	}
	n.listeners[port] = l
	return l, nil
}

// unused is a port that nobody had.
func (n *Net) unused() int {
	n.last = max(n.last, firstPort) + 1
	return n.last
}

func portOf(address string) (int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	if host != "127.0.0.1" && host != "localhost" && host != "" {
		return 0, fmt.Errorf("%s is not loopback, and this network has nothing else", host)
	}
	return strconv.Atoi(port)
}

func addr(port int) *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

// connect hands one end to the listener of a port and returns the other.
func (n *Net) connect(ctx context.Context, port int) (*conn, *link, error) {
	n.mu.Lock()
	l := n.listeners[port]
	from := addr(n.unused())
	n.mu.Unlock()
	if l == nil {
		return nil, nil, syscall.ECONNREFUSED
	}
	up, down := newStream(), newStream()
	both := &link{up, down}
	client := &conn{in: down, out: up, local: from, remote: addr(port)}
	server := &conn{in: up, out: down, local: addr(port), remote: from}
	select {
	case l.arriving <- server:
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.links == nil {
			n.links = map[*link]int{}
		}
		n.links[both] = port
		return client, both, nil
	case <-l.closed:
		return nil, nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// CutPort resets all connections to a port, of whichever host, and says how many there
// were: what a listener's process leaves behind when it dies.
func (n *Net) CutPort(port int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	cut := 0
	for l, to := range n.links {
		if to == port {
			l.reset()
			cut++
		}
	}
	return cut
}

func (n *Net) forget(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.links, l)
}

type listener struct {
	of       *Net
	port     int
	arriving chan *conn
	closed   chan struct{}
	once     sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.arriving:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.of.mu.Lock()
		defer l.of.mu.Unlock()
		delete(l.of.listeners, l.port)
	})
	return nil
}

func (l *listener) Addr() net.Addr { return addr(l.port) }
