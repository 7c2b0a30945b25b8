//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
)

// scrape holds all snapshots of a pod to the equation, from when it listens until it
// ends or the test does.
func (r *rig) scrape(t *testing.T, p *pod) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	r.polled = true
	go func() {
		defer close(done)
		address := ""
		for looking := time.NewTicker(50 * time.Millisecond); address == ""; {
			select {
			case <-looking.C:
				address = p.said("admin")
			case <-p.Ended():
				return
			case <-ctx.Done():
				return
			}
		}
		go func() {
			select {
			case <-p.Ended():
				cancel()
			case <-ctx.Done():
			}
		}()
		r.scraper.Poll(ctx, p.name, "http://"+address+"/status")
	}()
}

// mark notes a moment that recovery is timed from.
func (r *rig) mark(t *testing.T, name string) {
	t.Helper()
	if err := r.journal.Mark(name); err != nil {
		t.Fatal(err)
	}
}

// report writes what a run showed to the directory that FLUSHLINE_REPORT names, as
// text and JSON; without it, the test's log has it.
func (r *rig) report(t *testing.T, verdicts map[string]*ledger.Verdict) {
	t.Helper()
	dir := os.Getenv("FLUSHLINE_REPORT")
	if dir == "" {
		return
	}
	report := ledger.Report{Run: t.Name(), Destinations: verdicts, Scrapes: r.scraper.Seen()}
	base := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-"))
	for ext, write := range map[string]func(*os.File) error{
		".txt":  func(f *os.File) error { return report.Write(f) },
		".json": func(f *os.File) error { return report.WriteJSON(f) },
	} {
		f, err := os.Create(base + ext)
		if err != nil {
			t.Fatalf("couldn't write the report: %v", err)
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			t.Fatalf("couldn't write the report: %v", err)
		}
	}
}

// said finds in the pod's log where a listener is; "" if it does not say.
func (p *pod) said(listener string) (address string) {
	for raw := range strings.Lines(p.Log()) {
		var l struct{ Msg, For, Address string }
		if json.Unmarshal([]byte(raw), &l) == nil && l.Msg == "listening" && l.For == listener {
			address = l.Address
		}
	}
	return address
}
