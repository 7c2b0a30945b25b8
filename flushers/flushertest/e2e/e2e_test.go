package e2e

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/http"
)

func TestHonestFlushersPass(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]flushers.Kind{
		"one whose copies come twice after a kill": carrierKind(flushers.None, honest),
		"one that knows its groups":                namedKind(),
		"one that is built in":                     http.Kind(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, kind, flushertest.Harness{Start: start})
		})
	}
}

func TestCheatsAreCaught(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  flushers.Kind
		start func(testing.TB) flushertest.Target
		says  string
	}{
		"nil before it is stored":           {carrierKind(flushers.None, early), startSound, "logs are lost"},
		"nil in spite of an error":          {carrierKind(flushers.None, drops), start, "logs are lost"},
		"copies in spite of a claim":        {carrierKind(flushers.PerGroup, honest), startSound, "stored more often than once, at most 0 may be"},
		"two copies of everything":          {carrierKind(flushers.None, doubles), startSound, "logs are stored more often than once"},
		"Permanent for a depot that is ill": {carrierKind(flushers.None, condemns), start, "became dead letters"},
		"other data than was flushed":       {carrierKind(flushers.None, scrambles), startSound, "stored otherwise than they were published"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(tb testing.TB) { runLives(tb, c.kind, flushertest.Harness{Start: c.start}, Plan{}, few) })
			if !strings.Contains(r.failures(), c.says) {
				t.Errorf("its run fails with %q, want %q", r.failures(), c.says)
			}
		})
	}
}

// few lives are enough to catch a cheat: after nil, what was stored comes again.
func few(r *run) {
	lives := []life{dieAt(afterNil), dieAt(afterTold), (*run).dieAnyTime}
	if r.to.Break != nil {
		lives = append(lives, (*run).liveThroughTrouble)
	}
	r.live(lives)
}

func TestWhatCannotBeShownIsSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind  flushers.Kind
		start func(testing.TB) flushertest.Target
		says  string
	}{
		"a kind that only enqueues": {
			flushers.Kind{Name: "relay", Summary: "Hands over.", Durability: flushers.Enqueued},
			start,
			"promises nothing that a kill could break",
		},
		"no way to look": {
			carrierKind(flushers.None, honest),
			func(testing.TB) flushertest.Target { return flushertest.Target{} },
			"Target.Stored is missing",
		},
		"options that the kind refuses": {
			carrierKind(flushers.None, honest),
			func(tb testing.TB) flushertest.Target {
				to := start(tb)
				to.Options["ulr"] = "x"
				return to
			},
			`unknown key "ulr"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := record(t, func(tb testing.TB) { Run(tb, c.kind, flushertest.Harness{Start: c.start}) })
			if !strings.Contains(r.failures(), c.says) {
				t.Errorf("its run fails with %q, want %q", r.failures(), c.says)
			}
		})
	}
}

// recorder takes the failures of a Run that is meant to fail.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	said []string
}

func record(t *testing.T, f func(testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func (r *recorder) failures() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.said, "\n")
}

func (r *recorder) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, text)
	r.Log("recorded: " + text)
}

func (r *recorder) Error(args ...any)                 { r.note(fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.note(fmt.Sprintf(format, args...)) }
func (r *recorder) Fatal(args ...any)                 { r.note(fmt.Sprint(args...)); runtime.Goexit() }

func (r *recorder) Fatalf(format string, args ...any) {
	r.note(fmt.Sprintf(format, args...))
	runtime.Goexit()
}
