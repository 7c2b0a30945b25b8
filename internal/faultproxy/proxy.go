package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Proxy connects each connection it takes to one server. Safe for concurrent use.
type Proxy struct {
	tb   testing.TB
	to   string
	addr string

	mu       sync.Mutex
	rng      *rand.Rand
	listener net.Listener // nil: broken
	faults   [ways]Fault
	round    int           // counts Set and Heal: what CutAfter counts from
	changed  chan struct{} // closed at the next of them
	links    map[*link]bool
	met      [ways]Met
	resets   int64
	wg       sync.WaitGroup
}

// New listens on loopback and connects each connection to the server at addr (host and
// port), which need not be there yet. It ends with the test. Nobody else gets its
// address while it is broken. rng decides about jitter; nil: a fixed seed.
func New(tb testing.TB, addr string, rng *rand.Rand) *Proxy {
	tb.Helper()
	if rng == nil {
		rng = rand.New(rand.NewPCG(1, 1))
	}
	p := &Proxy{tb: tb, to: addr, rng: rng, links: map[*link]bool{}, changed: make(chan struct{})}
	if err := p.begin(); err != nil {
		tb.Fatalf("couldn't start a proxy before %s: %v", addr, err)
	}
	p.addr = p.listener.Addr().String()
	tb.Cleanup(p.end)
	return p
}

// Addr is host and port of the proxy.
func (p *Proxy) Addr() string { return p.addr }

// Met is what faults met on one way so far.
func (p *Proxy) Met(w Way) Met {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.met[w]
}

// Resets is how many connections were reset so far by Reset, by Break, and by the end
// of a fault that had dropped bytes of them.
func (p *Proxy) Resets() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resets
}

// Open is how many connections there are.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Set begins a fault of one way, in place of the one it had.
func (p *Proxy) Set(w Way, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setLocked(w, f)
}

func (p *Proxy) setLocked(w Way, f Fault) {
	ended := p.faults[w].Drop && !f.Drop
	p.faults[w] = f
	p.round++
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		if ended && l.lost[w] {
			p.resetLocked(l)
		}
	}
}

// Reset cuts all connections as a host does that knows nothing of them; new ones are
// taken. It returns how many there were.
func (p *Proxy) Reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resetAllLocked()
}

func (p *Proxy) resetAllLocked() int {
	n := len(p.links)
	for l := range p.links {
		p.resetLocked(l)
	}
	return n
}

func (p *Proxy) resetLocked(l *link) {
	p.resets++
	p.dropLocked(l)
	l.reset()
}

// HalfClose ends one way of all connections: its reader sees the end, while its writer
// goes on and is not heard. The other way works. It returns how many there were.
func (p *Proxy) HalfClose(w Way) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.links {
		if !l.half[w] {
			l.half[w] = true
			closeWrite(l.end[1-w])
			n++
		}
	}
	p.met[w].HalfClosed += int64(n)
	return n
}

// Break resets all connections; new ones are refused. It returns how many there were.
func (p *Proxy) Break() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close() // what it took is reset below, or refused by keep
		p.listener = nil
	}
	return p.resetAllLocked()
}

// Heal ends all faults and Break.
func (p *Proxy) Heal() {
	p.tb.Helper()
	p.mu.Lock()
	for w := range ways {
		p.setLocked(w, Fault{})
	}
	up := p.listener != nil
	p.mu.Unlock()
	for end := time.Now().Add(10 * time.Second); !up; time.Sleep(50 * time.Millisecond) {
		err := p.listen(p.addr)
		if up = err == nil; !up && time.Now().After(end) {
			p.tb.Fatalf("couldn't listen on %s again: %v", p.addr, err)
		}
	}
}

func (p *Proxy) end() {
	p.Break()
	p.wg.Wait()
}

// A proxy that is broken does not listen. If its port was one of those that systems
// give out (Linux from 32768, others from 49152), another server could get it
// meanwhile and answer in its place. Linux has other loopback addresses as well: there
// no two proxies meet either.
const (
	lowestPort  = 12000
	highestPort = 20000
)

func (p *Proxy) begin() (err error) {
	for range 100 {
		host := "127.0.0.1"
		if runtime.GOOS == "linux" {
			host = fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if err = p.listen(net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return nil
		}
	}
	return err
}

// listen does nothing if somebody else has healed the proxy meanwhile.
func (p *Proxy) listen(addr string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	p.listener = l
	p.wg.Go(func() { p.accept(l) })
	return nil
}

func (p *Proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		p.wg.Go(func() { p.serve(l, c) })
	}
}
