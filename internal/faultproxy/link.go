package faultproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	pieceSize = 16 << 10
	pieces    = 4 // that are on their way at most
	slice     = 50 * time.Millisecond
)

// link is one connection. The proxy's mutex guards what is not fixed.
type link struct {
	end  [ways]net.Conn // who sends on that way: the client, the server
	over chan struct{}  // closed when the link is no more

	half, lost [ways]bool
	round      [ways]int   // of the proxy, when sent began to count
	sent       [ways]int64 // bytes
	once       sync.Once
}

// piece is what was read at once.
type piece struct {
	b   []byte
	due time.Time
	err error // of the read, behind the bytes
}

// serve passes bytes on in both directions until both have ended.
func (p *Proxy) serve(of net.Listener, client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.to)
	if err != nil {
		_ = client.Close() // there is nobody to tell
		return
	}
	l := &link{end: [ways]net.Conn{client, server}, over: make(chan struct{})}
	if !p.keep(of, l) {
		l.reset()
		return
	}
	var all sync.WaitGroup
	for w := range ways {
		way := make(chan piece, pieces)
		all.Go(func() { p.read(l, w, way) })
		all.Go(func() { p.write(l, w, way) })
	}
	all.Wait()
	p.mu.Lock()
	p.dropLocked(l)
	p.mu.Unlock()
	l.close()
}

// keep refuses connections of a listener that was closed meanwhile.
func (p *Proxy) keep(of net.Listener, l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != of {
		return false
	}
	p.links[l] = true
	return true
}

func (p *Proxy) dropLocked(l *link) { delete(p.links, l) }

// read gives out what one side sends, with when it is due at the other.
func (p *Proxy) read(l *link, w Way, out chan<- piece) {
	defer close(out)
	var last time.Time
	for {
		b := make([]byte, pieceSize)
		n, err := l.end[w].Read(b)
		last = p.due(w, n, last)
		select {
		case out <- piece{b[:n], last, err}:
		case <-l.over:
			return
		}
		if err != nil {
			return
		}
	}
}

// due is when n bytes that come now arrive, and never before what came earlier.
func (p *Proxy) due(w Way, n int, last time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &p.faults[w]
	if f.Latency <= 0 && f.Jitter <= 0 {
		return last
	}
	p.met[w].Delayed += int64(n)
	at := time.Now().Add(f.Latency)
	if f.Jitter > 0 {
		at = at.Add(time.Duration(p.rng.Int64N(int64(f.Jitter))))
	}
	if at.Before(last) {
		return last
	}
	return at
}

// write passes on to the other side what was read.
func (p *Proxy) write(l *link, w Way, in <-chan piece) {
	for one := range in {
		if !l.wait(time.Until(one.due)) {
			return
		}
		if len(one.b) > 0 && !p.pass(l, w, one.b) {
			return
		}
		switch {
		case one.err == nil:
		case errors.Is(one.err, io.EOF):
			p.finish(l, w)
		default:
			l.reset() // one side was reset: so is the other
		}
	}
}

// finish passes the end of a way on, unless it is swallowed.
func (p *Proxy) finish(l *link, w Way) {
	if !p.held(l, w, 0) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.faults[w].Drop:
		l.lost[w] = true
	case !l.half[w]:
		closeWrite(l.end[1-w])
	}
}

// wait says whether the link is still there after d.
func (l *link) wait(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.over:
		return false
	}
}

// close ends the link in order, reset as a host does that knows nothing of it.
func (l *link) close() {
	l.once.Do(func() {
		close(l.over)
		for _, c := range l.end {
			_ = c.Close() // it is over, whatever it says
		}
	})
}

func (l *link) reset() {
	for _, c := range l.end {
		linger(c)
	}
	l.close()
}

func linger(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only on what is closed
	}
}

func closeWrite(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // fails only on what is closed
		return
	}
	_ = c.Close() // it is over, whatever it says
}
