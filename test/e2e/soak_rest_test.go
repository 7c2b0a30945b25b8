//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What a pod may need at rest beside what it needed when it had just begun.
const (
	restGoroutines = 5
	restFiles      = 5
	restMiB        = 32.0
	// The race detector keeps what it knows of each address, and never gives it back.
	restRaceMiB = 128.0
)

// rest is what a pod needs while it has nothing to do.
type rest struct {
	sample
	heap []byte // its profile
}

// atRest waits until, some seconds after a moment, the pod has no lane and what it needs
// does not change any more, and returns that.
func (w *watched) atRest(t *testing.T, since time.Time) rest {
	t.Helper()
	const looks = 5
	var least sample
	eventually(t, 2*time.Minute, w.name+" has no lane, answers, and is as it was a moment before", func() bool {
		found := w.between(since, time.Now())
		if len(found) < looks {
			return false
		}
		found = found[len(found)-looks:]
		least = found[0]
		most := found[0]
		for _, s := range found[1:] { // a scrape that passes by has a goroutine and a connection
			least.goroutines, most.goroutines = min(least.goroutines, s.goroutines), max(most.goroutines, s.goroutines)
			least.fds, most.fds = min(least.fds, s.fds), max(most.fds, s.fds)
			least.rss = min(least.rss, s.rss)
			most.lanes = max(most.lanes, s.lanes)
		}
		return most.lanes == 0 && most.goroutines-least.goroutines <= 3 && most.fds-least.fds <= 3
	})
	return rest{least, w.profile(t, "heap")}
}

// backAt waits until the pod at rest needs no more than it did, and says what it needs
// if that does not come. What it needs then is kept for who looks for the cause.
func (w *watched) backAt(t *testing.T, since time.Time, before rest, mib float64) sample {
	t.Helper()
	var now sample
	for end := time.Now().Add(time.Minute); ; since = time.Now() {
		now = w.atRest(t, since).sample
		if math.Abs(now.goroutines-before.goroutines) <= restGoroutines && math.Abs(now.fds-before.fds) <= restFiles && now.rss <= before.rss+mib {
			return now
		}
		if time.Now().After(end) {
			break
		}
	}
	t.Errorf("%s is not back to what it was: %.0f goroutines, now %.0f; %.0f descriptors, now %.0f; %.1f MiB, now %.1f",
		w.name, before.goroutines, now.goroutines, before.fds, now.fds, before.rss, now.rss)
	w.keepProfiles(t, before)
	return now
}

func (w *watched) profile(t *testing.T, name string) []byte {
	t.Helper()
	_, body := get(t, "http://"+w.address(t, "admin")+"/debug/pprof/"+name)
	return body
}

// keepProfiles writes heap and goroutines, and the heap of the beginning, into
// bin/soak, for `go tool pprof -diff_base`.
func (w *watched) keepProfiles(t *testing.T, before rest) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "bin", "soak"))
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, fmt.Sprintf("%s-%s", filepath.Base(t.Name()), w.name))
	err = os.MkdirAll(dir, 0o755)
	for name, content := range map[string][]byte{
		"heap-before": before.heap, "heap": w.profile(t, "heap"),
		"goroutines": w.profile(t, "goroutine"), "goroutines.txt": w.profile(t, "goroutine?debug=2"),
	} {
		err = errors.Join(err, os.WriteFile(base+"-"+name, content, 0o644))
	}
	if err != nil {
		t.Errorf("couldn't keep the profiles of %s: %v", w.name, err)
		return
	}
	t.Logf("the profiles of %s are %s-*", w.name, base)
}
