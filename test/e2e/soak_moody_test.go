//go:build linux

package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// The ways in which a moody destination does not just take what it is sent.
const (
	unavailable = "answer 503"
	tooMany     = "answer 429"
	cutOff      = "connection reset after the request was stored"
	noAnswer    = "request that was not answered"
)

// moody is an HTTP destination that hangs, or answers now this and now that.
type moody struct {
	*receiver
	front *httptest.Server

	mu     sync.Mutex
	rng    *rand.Rand
	flaps  bool
	hangs  chan struct{} // closed when it ends; nil: it does not hang
	met    map[string]int
	unsure int // logs that were stored and whose sender may not know
}

func startMoody(t *testing.T, run string, seed uint64) *moody {
	t.Helper()
	m := &moody{receiver: startReceiver(t, run, 0), rng: rand.New(rand.NewPCG(seed, 1)), met: map[string]int{}}
	m.front = httptest.NewServer(m)
	t.Cleanup(func() {
		m.hang(false)
		m.front.CloseClientConnections()
		m.front.Close()
	})
	return m
}

// flap has it refuse and cut off some of the requests, or none any more.
func (m *moody) flap(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.flaps = on
}

// hang has it answer nothing, until it is told otherwise.
func (m *moody) hang(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case on && m.hangs == nil:
		m.hangs = make(chan struct{})
	case !on && m.hangs != nil:
		close(m.hangs)
		m.hangs = nil
	}
}

// mood is what happens to a request; the channel is what it has to wait for.
func (m *moody) mood() (string, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	what := ""
	switch n := m.rng.IntN(10); {
	case m.hangs != nil:
		what = noAnswer
	case !m.flaps || n < 6:
	case n < 8:
		what = unavailable
	case n < 9:
		what = tooMany
	default:
		what = cutOff
	}
	if what != "" {
		m.met[what]++
	}
	return what, m.hangs
}

// ServeHTTP stores what it does not refuse. A request that hung is stored only if its
// sender is still there.
func (m *moody) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, "this request has no end", http.StatusBadRequest) // as servers do
		return
	}
	what, hangs := m.mood()
	switch what {
	case unavailable:
		http.Error(w, "in a bad mood", http.StatusServiceUnavailable)
		return
	case tooMany:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "in a bad mood", http.StatusTooManyRequests)
		return
	case noAnswer:
		select {
		case <-hangs:
		case <-req.Context().Done():
			http.Error(w, "the client is gone", http.StatusServiceUnavailable) // if it still reads, it must not hear of a success
			return
		}
	}
	if what != "" { // cut off, or so late that the sender may leave this moment
		m.mu.Lock()
		m.unsure += bytes.Count(body, []byte("\n"))
		m.mu.Unlock()
	}
	if err := m.store(body); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if what == cutOff {
		reset(w)
	}
}

// reset ends the connection as a crash of the other side would.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // ends it too
	}
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.SetLinger(0) // without, it is a clean end
	}
	_ = conn.Close()
}

// seen is what happened so far, and how many logs may come twice for it.
func (m *moody) seen() (met map[string]int, unsure int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	met = map[string]int{}
	for what, n := range m.met {
		met[what] = n
	}
	return met, m.unsure
}
