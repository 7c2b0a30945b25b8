package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

// depot is a destination: it keeps what it is sent, groups with a name once.
type depot struct {
	mu     sync.Mutex
	broken bool
	named  map[string][]byte
	others [][]byte
}

// start is a Harness' Start for all kinds of this test.
func start(tb testing.TB) flushertest.Target {
	d := &depot{named: map[string][]byte{}}
	server := httptest.NewServer(d)
	tb.Cleanup(server.Close)
	return flushertest.Target{
		Options: map[string]any{"url": server.URL, "timeout": 5 * time.Second},
		Stored:  d.stored,
		Break:   func() { d.setBroken(true) },
		Heal:    func() { d.setBroken(false) },
	}
}

// startSound starts a depot that is never broken: only kills show a cheat.
func startSound(tb testing.TB) flushertest.Target {
	to := start(tb)
	to.Break, to.Heal = nil, nil
	return to
}

func (d *depot) setBroken(broken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.broken = broken
}

// ServeHTTP stores nothing for a worker that died while it waited: what such a
// worker has acknowledged already is lost.
func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	select {
	case <-time.After(5 * time.Millisecond):
	case <-r.Context().Done():
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch name := r.URL.Query().Get("name"); {
	case d.broken:
		http.Error(w, "told to be broken", http.StatusServiceUnavailable)
	case name != "":
		d.named[name] = body
	default:
		d.others = append(d.others, body)
	}
}

func (d *depot) stored() ([]flushertest.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := bytes.Join(d.others, nil)
	for _, body := range d.named {
		all = append(all, body...)
	}
	return flushertest.JSONLines(all)
}

// carrier is a flusher that sends to a depot; its cheats are what a stranger's
// mistakes would be.
type carrier struct {
	URL     string        `option:"url,required" help:"The depot."`
	Timeout time.Duration `option:"timeout" help:"How long a request may take."`

	cheat cheat
	ctx   context.Context
}

type cheat int

const (
	honest    cheat = iota
	early           // answers nil before it stored
	drops           // answers nil when it could not store
	condemns        // calls data Permanent when the depot is broken
	scrambles       // stores something else
	doubles         // stores everything twice
)

func carrierKind(i flushers.Idempotence, c cheat) flushers.Kind {
	return flushers.Kind{
		Name: "carrier", Summary: "Sends groups to a depot.", Idempotence: i,
		New: func() flushers.Flusher { return &carrier{cheat: c} },
	}
}

func (f *carrier) Init(c flushers.Context) error {
	if f.Timeout != 5*time.Second {
		return fmt.Errorf("the timeout is %s: the options did not arrive", f.Timeout)
	}
	f.ctx = c.GetRuntimeContext()
	return nil
}

func (f *carrier) Description() string                { return "Sends groups to a depot." }
func (f *carrier) IsReady(string, string, int64) bool { return true }
func (f *carrier) SetUrgent(bool)                     {}
func (f *carrier) Stop() error                        { return nil }

// Flush is what kinds without names have; those with names need the IDs.
func (f *carrier) Flush(_, _, _ string, groups []*protocol.LogGroup) error {
	var lines []byte
	for _, g := range groups {
		lines = protocol.AppendJSONLines(lines, g)
	}
	switch f.cheat {
	case early:
		time.AfterFunc(30*time.Millisecond, func() { _ = f.send("", lines) })
		return nil
	case drops:
		_ = f.send("", lines)
		return nil
	case condemns:
		return flushers.Permanent(f.send("", lines))
	case doubles:
		lines = append(lines, lines...)
	case scrambles:
		lines = bytes.ReplaceAll(lines, []byte("/cart"), []byte("/card"))
	}
	return f.send("", lines)
}

// named is a carrier that has FlushBatch.
type named struct{ carrier }

func namedKind() flushers.Kind {
	k := carrierKind(flushers.PerGroup, honest)
	k.New = func() flushers.Flusher { return &named{} }
	return k
}

func (f *named) FlushBatch(_ context.Context, b *flushers.Batch) error {
	failed := map[int]error{}
	for i, g := range b.Groups {
		if err := f.send(b.IDs[i].String(), protocol.AppendJSONLines(nil, g)); err != nil {
			failed[i] = err
		}
	}
	if len(failed) > 0 {
		return &flushers.PartialError{Failed: failed}
	}
	return nil
}

func (f *carrier) send(name string, lines []byte) error {
	ctx, cancel := context.WithTimeout(f.ctx, f.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL+"?name="+name, bytes.NewReader(lines))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("the depot answered " + resp.Status)
	}
	return nil
}
