//go:build linux

package isolation

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/kafkabroker"
)

// bin is where the programs under test are. They are built without the race detector,
// which changes what is measured.
var bin string

// outage is how long a destination is dead; control how long nothing is, between.
var (
	outage, control = 20 * time.Second, 6 * time.Second
	rounds          = 1
	command         = "make isolation ISOLATION_TIME="
	long            bool
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(leak.Check(run(m)))
}

func run(m *testing.M) int {
	if of := os.Getenv("FLUSHLINE_ISOLATION"); of != "" {
		d, err := time.ParseDuration(of)
		if err != nil || d < outage {
			fmt.Fprintf(os.Stderr, "FLUSHLINE_ISOLATION is %q: write a duration of at least %s, such as 10m\n", of, outage)
			return 1
		}
		outage, control, long = d, max(control, d/10), true
		if d < 5*time.Minute { // a longer one is its own median
			rounds = 2
		}
		command = "make isolation ISOLATION_TIME=" + of
	}
	dir, err := os.MkdirTemp("", "flushline-isolation-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for name, from := range map[string]string{"program": "./program", "natsserver": "../e2e/natsserver"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, name), from)
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "couldn't build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	return kafkabroker.Main(m)
}

// size is a number of each of the two sizes.
func size[T any](short, full T) T {
	if long {
		return full
	}
	return short
}

// eventually waits for a condition.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}
