package pipenet

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// Way is a direction, seen from the host.
type Way int

// The directions. Both is what most faults are about.
const (
	Both Way = iota
	Up       // from the host to the listener
	Down     // from the listener to the host
)

// Host is who dials. Its faults are about all its connections, and those that it
// opens meanwhile.
type Host struct {
	net *Net

	mu      sync.Mutex
	links   map[*link]bool // true: closed while held, so that the listener's end does not know yet
	changed chan struct{}  // closed and replaced when held or refused change
	held    [2]bool        // by Up and Down
	delay   time.Duration
	refused bool
	dead    bool
}

// Host is a new one, without faults.
func (n *Net) Host() *Host {
	return &Host{net: n, links: map[*link]bool{}, changed: make(chan struct{})}
}

// DialContext connects to a listener. While the host is held it waits for the end of
// that or of ctx.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := h.dial(ctx, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return c, nil
}

func (h *Host) dial(ctx context.Context, address string) (net.Conn, error) {
	port, err := portOf(address)
	if err != nil {
		return nil, err
	}
	if err := h.reach(ctx); err != nil {
		return nil, err
	}
	c, l, err := h.net.connect(ctx, port)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused || h.dead {
		l.reset()
	}
	h.links[l] = false
	h.applyTo(l)
	c.left = func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.held != [2]bool{} {
			h.links[l] = true
			return
		}
		h.forget(l)
	}
	return c, nil
}

// reach waits until the host's packets get through.
func (h *Host) reach(ctx context.Context) error {
	for {
		h.mu.Lock()
		held, refused, changed := h.held[0] || h.held[1], h.refused || h.dead, h.changed
		h.mu.Unlock()
		switch {
		case refused:
			return syscall.ECONNREFUSED
		case !held:
			return ctx.Err()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// applyTo makes a link be as the host is.
func (h *Host) applyTo(l *link) {
	l.up.update(func() { l.up.held, l.up.delay = h.held[0], h.delay })
	l.down.update(func() { l.down.held, l.down.delay = h.held[1], h.delay })
}

func (h *Host) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	for l := range h.links {
		h.applyTo(l)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// Hold keeps back what is sent that way, and dials, until Release.
func (h *Host) Hold(w Way) {
	h.change(func() { h.held = [2]bool{h.held[0] || w != Down, h.held[1] || w != Up} })
}

// Release ends a Hold: what was kept back arrives.
func (h *Host) Release() {
	h.change(func() { h.held = [2]bool{} })
	h.mu.Lock()
	defer h.mu.Unlock()
	for l, closed := range h.links {
		if closed {
			h.forget(l)
		}
	}
}

func (h *Host) forget(l *link) {
	delete(h.links, l)
	h.net.forget(l)
}

// Delay has all bytes that are sent from now on arrive so much later. 0 ends it.
func (h *Host) Delay(d time.Duration) { h.change(func() { h.delay = d }) }

// Refuse has dials fail, or not any more.
func (h *Host) Refuse(on bool) { h.change(func() { h.refused = on }) }

// Kill cuts everything, for ever: the host is a machine that burnt.
func (h *Host) Kill() {
	h.change(func() { h.dead = true })
	h.Cut()
}

// Cut resets all connections and says how many there were.
func (h *Host) Cut() int { return h.each(func(l *link) { l.reset() }) }

// CutAfter resets each connection of now once n more bytes were sent that way, in the
// middle of whatever they belong to. cut is called for each.
func (h *Host) CutAfter(n int64, w Way, cut func()) {
	h.each(func(l *link) {
		once := sync.OnceFunc(func() { l.reset(); cut() })
		for _, s := range l.streams(w) {
			s.update(func() { s.left, s.spent = max(n, 1), once })
		}
	})
}

// Shut ends one direction of each connection while the other goes on, and says how
// many there were.
func (h *Host) Shut(w Way) int {
	return h.each(func(l *link) {
		for _, s := range l.streams(w) {
			s.end()
		}
	})
}

// Connections is how many there are.
func (h *Host) Connections() int { return h.each(func(*link) {}) }

func (h *Host) each(f func(*link)) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.links {
		f(l)
	}
	return len(h.links)
}
