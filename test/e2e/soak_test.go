//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// soakShort is how long the short soak has load, with all kinds of faults.
const soakShort = 45 * time.Second

// Two workers on each queue have load while destinations hang, stick, flap, are slow and
// not ready, one of the workers is stopped and killed, both are given other
// configurations and the brokers restart: nothing is lost, all adds up all the time,
// and at rest a worker needs what it needed when it had just begun.
//
// FLUSHLINE_SOAK says how long, as `make soak` does. It needs about 1 GB an hour below
// TMPDIR.
func TestSoak(t *testing.T) {
	lasts, command := soakShort, "go test -race -count 1 -v -run '^TestSoak$' ./test/e2e"
	if of := os.Getenv("FLUSHLINE_SOAK"); of != "" {
		var err error
		if lasts, err = time.ParseDuration(of); err != nil || lasts < soakShort {
			t.Fatalf("FLUSHLINE_SOAK is %q: write a duration of at least %s, such as 2h", of, soakShort)
		}
		command = "make soak SOAK_TIME=" + of
	}
	t.Parallel() // most of its time it waits
	record := proof.Begin("soak", "Workers under load that lasts, beside destinations that hang and flap, restarts, kills and reloads, lose nothing and are at rest what they were at first.", command)
	queues := []string{"nats", "kafka"}
	soaks := make([]*soak, len(queues))
	t.Run("on", func(t *testing.T) {
		for i, queue := range queues {
			t.Run(queue, func(t *testing.T) {
				t.Parallel()
				if err := plain(); err != nil {
					t.Fatal(err)
				}
				soaks[i] = newSoak(t, queue, lasts)
				soaks[i].run(t)
			})
		}
	})
	for _, s := range soaks {
		if s == nil || !s.judged { // it has failed, or there is no such broker
			record.Note("The soak on one of the queues did not come to its end, or was skipped.")
			continue
		}
		s.record(record)
	}
	t.Logf("%s of load on %s:\n%s", lasts, strings.Join(queues, " and "), soakTable(t, record))
	record.End(t)
}

// soakTable is what the run showed; a figure beyond its bound fails the test.
func soakTable(t *testing.T, record *proof.Run) string {
	t.Helper()
	var b strings.Builder
	for _, kind := range soakKinds {
		fmt.Fprintf(&b, "%10d         %s\n", record.Faults[kind], kind)
	}
	for _, f := range record.Figures {
		fmt.Fprintf(&b, "%12.1f %-6s %s", f.Value, f.Unit, f.Of)
		if f.AtMost != nil {
			fmt.Fprintf(&b, " (at most %.1f)", *f.AtMost)
		}
		b.WriteByte('\n')
		if !f.Kept() {
			t.Errorf("beyond its bound: %s: %v", f.Of, f.Value)
		}
	}
	return b.String()
}

// plain builds the program of the black-box tests without the race detector, which hides
// how much memory is needed.
var plain = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(bin, "plain"), "./program").CombinedOutput()
	if err != nil {
		return fmt.Errorf("couldn't build ./program: %w\n%s", err, out)
	}
	return nil
})
