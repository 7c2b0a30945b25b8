//go:build failpoint && unix

package kafka_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
)

// A process that dies where a record lies in two places, or has ended and lies in its
// topic, loses nothing; what comes twice is what had not been settled.
func TestParkedCrash(t *testing.T) {
	if topic := os.Getenv("PARKED_CRASH_TOPIC"); topic != "" {
		crashServing(t, topic)
		return
	}
	t.Parallel()
	for _, point := range []failpoint.Point{failpoint.ParkedMoved, failpoint.ParkedCommitted, failpoint.ParkedTried} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			b, cfg, k, name := parking(t, "parked-crash", 1)
			k.park(cfg, "dead", 0, 40)
			k.park(cfg, "alive", 40, 80)
			log := filepath.Join(t.TempDir(), "log")
			cmd := exec.Command(os.Args[0], "-test.run=^TestParkedCrash$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), "PARKED_CRASH_TOPIC="+cfg.Topics[0], "PARKED_CRASH_GROUP="+cfg.Group, "PARKED_CRASH_BROKER="+b.Addr(),
				"FLUSHLINE_FAILPOINT="+string(point)+":1:kill", "FLUSHLINE_FAILPOINT_LOG="+log)
			out, _ := cmd.CombinedOutput() // the log tells how it ended
			if noted, err := os.ReadFile(log); err != nil || !strings.Contains(string(noted), "fired "+string(point)) {
				t.Fatalf("the step was not reached: %v\n%s\n%s", err, noted, out)
			}
			k.gates["dead"], k.gates["alive"] = queue.GateOpen, queue.GateOpen
			k.serve()
			eventually(t, "every record of the dead lane", func() bool { return k.distinct("dead") == 40 })
			if point == failpoint.ParkedTried { // nothing of the other lane was settled either
				eventually(t, "every record of the other lane", func() bool { return k.distinct("alive") == 40 })
			}
			empties(t, b, name)
			if n := k.count("dead"); point == failpoint.ParkedMoved && n != 80 {
				t.Errorf("%d records of the dead lane were taken, want each twice: it lies in two places", n)
			}
			if n := k.count("alive"); n > 40 {
				t.Errorf("%d records of the living lane came again", n)
			}
			k.stop()
		})
	}
}

// distinct is how many different records of a lane were taken.
func (k *keeper) distinct(project string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := map[string]bool{}
	for i := range k.took {
		if p, _ := k.took[i].Header("x-log-project"); p == project {
			seen[string(k.took[i].Value)] = true
		}
	}
	return len(seen)
}

// crashServing is the process that dies.
func crashServing(t *testing.T, topic string) {
	cfg := quick(reading([]string{os.Getenv("PARKED_CRASH_BROKER")}, topic))
	cfg.Group = os.Getenv("PARKED_CRASH_GROUP")
	if point, _, _ := strings.Cut(os.Getenv("FLUSHLINE_FAILPOINT"), ":"); point == string(failpoint.ParkedTried) {
		k, _ := atRest(t, cfg, func(*keeper) {})
		k.quietly("alive", queue.GateProbe)
		k.waitsForItsEnd()
		return
	}
	k := newKeeper(t, connect(t, cfg), cfg)
	k.gates["alive"] = queue.GateOpen
	k.serve()
	k.waitsForItsEnd()
}

func (k *keeper) waitsForItsEnd() {
	k.Helper()
	select {
	case err := <-k.done:
		k.Fatalf("it ended before it was killed: %v", err)
	case <-time.After(within):
		k.Fatal("it was not killed")
	}
}
