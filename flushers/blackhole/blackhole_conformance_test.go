package blackhole_test

import (
	"slices"
	"testing"

	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/flushers/flushertest"
)

// A blackhole stores nothing, so only what does not look for anything stored can be
// shown.
func TestConformance(t *testing.T) {
	t.Parallel()
	shown := []string{
		"the kind is what it declares",
		"options have help, limits and defaults that hold",
		"a failed Init leaves nothing behind",
		"Stop leaves no goroutine, descriptor or connection",
	}
	except := map[string]string{}
	for _, p := range flushertest.Properties() {
		if !slices.Contains(shown, p) {
			except[p] = "a blackhole stores nothing and cannot be broken"
		}
	}
	flushertest.Run(t, blackhole.Kind(), flushertest.Harness{Start: startNothing, Except: except})
}

func startNothing(testing.TB) flushertest.Target {
	return flushertest.Target{
		Options: map[string]any{"delay": "1ms"},
		Stored:  func() ([]flushertest.Record, error) { return nil, nil },
	}
}
