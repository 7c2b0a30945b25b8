package flushertest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
)

// store is the server behind the kinds of these tests. It takes a POST of groups
// and answers with what it refused.
type store struct {
	mu      sync.Mutex
	records []flushertest.Record
	known   map[string]bool // ids of the groups that it has
	once    bool            // a known group is not stored again
	whole   bool            // a poisoned group refuses its whole request

	timeless bool // no time is kept
	answer   func(w http.ResponseWriter)
}

// request is what the kinds post.
type request struct {
	Groups []group `json:"groups"`
}

type group struct {
	ID   string `json:"id"`
	Logs []log  `json:"logs"`
}

type log struct {
	Time   int64             `json:"time"`
	Ns     int64             `json:"ns"`
	Fields map[string]string `json:"fields"`
}

// poison is a field that the store refuses.
const poison = "poison"

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil {
		s.answer(w)
		return
	}
	refused := map[int]string{}
	for i, g := range req.Groups {
		if g.poisoned() {
			refused[i] = "the group is poisoned"
		}
	}
	if s.whole && len(refused) > 0 {
		http.Error(w, "a group is poisoned", http.StatusUnprocessableEntity)
		return
	}
	for i, g := range req.Groups {
		if refused[i] == "" {
			s.take(g)
		}
	}
	_ = json.NewEncoder(w).Encode(refused)
}

func (g *group) poisoned() bool {
	for _, l := range g.Logs {
		if l.Fields[poison] != "" {
			return true
		}
	}
	return false
}

func (s *store) take(g group) {
	if s.once && s.known[g.ID] {
		return
	}
	s.known[g.ID] = true
	for _, l := range g.Logs {
		r := flushertest.Record{Time: time.Unix(l.Time, l.Ns), Fields: l.Fields}
		if s.timeless {
			r.Time = time.Time{}
		}
		s.records = append(s.records, r)
	}
}

func (s *store) stored() ([]flushertest.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]flushertest.Record(nil), s.records...), nil
}

// answers makes every request come to a status.
func (s *store) answers(status int, header ...string) func() {
	return func() {
		s.set(func(w http.ResponseWriter) {
			for _, h := range header {
				name, value, _ := strings.Cut(h, ": ")
				w.Header().Set(name, value)
			}
			http.Error(w, fmt.Sprint("told to answer ", status), status)
		})
	}
}

func (s *store) set(answer func(http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// start is the Harness' Start for a store of some sort.
func start(sort func(*store)) func(testing.TB) flushertest.Target {
	return func(tb testing.TB) flushertest.Target {
		s := &store{known: map[string]bool{}}
		if sort != nil {
			sort(s)
		}
		server := httptest.NewServer(s)
		tb.Cleanup(server.Close)
		p := flushertest.NewProxy(tb, server.Listener.Addr().String())
		return flushertest.Target{
			Options:   map[string]any{"url": "http://" + p.Addr()},
			Stored:    s.stored,
			Break:     p.Break,
			Heal:      func() { s.set(nil); p.Heal() },
			Hang:      p.Hang,
			Poison:    spoil,
			InitFails: []map[string]any{{"url": "nowhere"}},
			Answers: map[flushers.Class]func(){
				flushers.ClassRetry:         s.answers(http.StatusBadGateway),
				flushers.ClassRetryAfter:    s.answers(http.StatusTooManyRequests, "Retry-After: 1"),
				flushers.ClassMisconfigured: s.answers(http.StatusUnauthorized),
				flushers.ClassPermanent:     s.answers(http.StatusUnprocessableEntity),
				flushers.ClassTooLarge:      s.answers(http.StatusRequestEntityTooLarge),
			},
		}
	}
}
