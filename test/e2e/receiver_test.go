//go:build unix

package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
)

// receiver is an HTTP destination that stores JSON lines in a file and answers
// then: what it answered with 200 is in the file, whatever happens to the worker.
type receiver struct {
	dir    string
	server *httptest.Server
	url    string        // where workers reach it
	more   string        // keys of the flusher entry, each behind a comma
	delay  time.Duration // before a request is stored
	run    string
	outage atomic.Pointer[outage] // nil: it is well

	mu     sync.Mutex
	file   *os.File
	seen   map[ledger.ID]struct{}
	logs   atomic.Int64
	ids    atomic.Int64  // different ones among the logs
	newest atomic.Uint64 // the highest group number seen
}

func startReceiver(t *testing.T, run string, delay time.Duration) *receiver {
	t.Helper()
	r := &receiver{dir: t.TempDir(), delay: delay, run: run, seen: map[ledger.ID]struct{}{}}
	var err error
	if r.file, err = os.Create(filepath.Join(r.dir, "received.jsonl")); err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewServer(r)
	r.url = r.server.URL
	t.Cleanup(func() {
		r.server.CloseClientConnections()
		r.server.Close()
		r.file.Close()
	})
	return r
}

// ServeHTTP stores nothing for a worker that died while it waited: had the worker
// acknowledged already, the logs would be lost, and the ledger would show it.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, "this request has no end", http.StatusBadRequest) // as servers do
		return
	}
	if o := r.outage.Load(); o != nil && o.meets(r.keyOf(body)) {
		o.answer(w, req)
		return
	}
	select {
	case <-time.After(r.delay):
	case <-req.Context().Done():
		http.Error(w, "the client is gone", http.StatusServiceUnavailable) // if it still reads, it must not hear of a success
		return
	}
	if err := r.store(body); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func (r *receiver) store(body []byte) error {
	files := ledger.Files{Run: r.run}
	var ids []ledger.ID
	var stored []byte
	now := time.Now()
	for raw := range bytes.Lines(body) {
		s := files.Line(raw, "")
		stored = append(stored, ledger.Stamp(raw, now)...)
		ids = append(ids, s.ID)
		r.logs.Add(1)
		for old := r.newest.Load(); s.ID.Group > old && !r.newest.CompareAndSwap(old, s.ID.Group); old = r.newest.Load() {
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.seen[id] = struct{}{}
	}
	r.ids.Store(int64(len(r.seen)))
	_, err := r.file.Write(stored)
	return err
}
