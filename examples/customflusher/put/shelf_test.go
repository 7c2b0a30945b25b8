package put_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

// shelf is a server that stores what it is sent, unless answer says otherwise.
type shelf struct {
	url  string // http://127.0.0.1:port
	addr string

	mu      sync.Mutex
	objects map[string]string
	puts    int
	answer  func(r *http.Request, body string) int // nil, or 0: store it
}

func newShelf(tb testing.TB) *shelf {
	tb.Helper()
	s := &shelf{objects: map[string]string{}}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	s.url, s.addr = server.URL, server.Listener.Addr().String()
	return s
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPut {
		http.Error(w, "want a whole PUT", http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	if s.answer != nil {
		if code := s.answer(r, string(body)); code != 0 {
			if code == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "1")
			}
			http.Error(w, "told to", code)
			return
		}
	}
	s.objects[r.URL.Path] = string(body)
	w.WriteHeader(http.StatusCreated)
}

func (s *shelf) stored() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.objects)
}

// answers makes it give one answer to everything.
func (s *shelf) answers(code int) func() {
	return func() { s.set(func(*http.Request, string) int { return code }) }
}

func (s *shelf) set(answer func(*http.Request, string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// healthy refuses only what is spoilt.
func healthy(_ *http.Request, body string) int {
	if strings.Contains(body, "spoilt") {
		return http.StatusUnprocessableEntity
	}
	return 0
}

// destination is a shelf behind a proxy that can be cut, as both suites want it.
func destination(tb testing.TB) flushertest.Target {
	s := newShelf(tb)
	s.set(healthy)
	p := flushertest.NewProxy(tb, s.addr)
	return flushertest.Target{
		Options: map[string]any{"url": "http://" + p.Addr() + "/{project}/{logstore}"},
		Stored: func() ([]flushertest.Record, error) {
			return flushertest.JSONLines([]byte(strings.Join(slices.Collect(maps.Values(s.stored())), "")))
		},
		Break: p.Break,
		Heal:  func() { s.set(healthy); p.Heal() },
		Hang:  p.Hang,
		Poison: func(g *protocol.LogGroup) {
			g.Logs[0].Contents = append(g.Logs[0].Contents, &protocol.Log_Content{Key: "state", Value: "spoilt"})
		},
		Answers: map[flushers.Class]func(){
			flushers.ClassRetry:         s.answers(http.StatusBadGateway),
			flushers.ClassRetryAfter:    s.answers(http.StatusTooManyRequests),
			flushers.ClassMisconfigured: s.answers(http.StatusUnauthorized),
			flushers.ClassPermanent:     s.answers(http.StatusUnprocessableEntity),
			flushers.ClassTooLarge:      s.answers(http.StatusRequestEntityTooLarge),
		},
	}
}
