//go:build unix

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

const (
	crashLetters = 1500 // many more than a replay has under way
	replayPut    = 256  // letters that a replay puts at once
)

// crashReplay runs a cell of `dlq replay`: a destination that rejected everything is
// mended, and its letters are replayed by a process that meets the fault and by one behind
// it. Letters that lie in files come from NATS.
func crashReplay(t *testing.T, c *crashCell) {
	x := &replayed{crashCell: c}
	x.rig, x.kafka = boundedRig(t, c.queue)
	x.deadLetter = "stop_after: 1000000"
	if c.queue == "files" {
		x.letterDir = t.TempDir()
		x.deadLetter += fmt.Sprintf(", file: %q", x.letterDir)
	}
	x.config = x.rig.config(t, "w1", crashWindow)
	x.appendConfig(t)
	x.fill(t)

	args := []string{"dlq", "replay", "-c", x.config}
	if x.direct() {
		args = append(args, "--direct")
	}
	cmd := c.command(t, args...)
	p, out := child.Start(t, "replay", cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	c.fired(t, 1)
	fault := time.Now()
	first := &process{p, "replay", cmd}
	x.endsOf(t, first)
	x.replay(t, args...)
	if left := x.replay(t, args...); !strings.Contains(left, "replayed 0 letters") {
		t.Errorf("behind a whole replay: %s", left)
	}
	c.row.Recovery = time.Since(fault).Seconds()
	if !x.direct() {
		w := x.pod(t, "failing", "w1", x.config)
		drainedRig(t, x.rig, x.kafka, time.Minute)
		w.terminate(t)
	}
	c.row.Settled = time.Since(fault).Seconds()
	x.judge(t)
}

// replayed is a cell of `dlq replay` on its way.
type replayed struct {
	*crashCell
	*rig
	kafka      *kafka // nil: NATS
	config     string
	deadLetter string
	letterDir  string // of letters in files
}

func (x *replayed) direct() bool { return x.Point == failpoint.LettersDelivered }

func (x *replayed) appendConfig(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(x.config)
	if err == nil {
		err = os.WriteFile(x.config, fmt.Appendf(b, "dead_letter: {%s}\n", x.deadLetter), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fill has everything become a dead letter, and mends the destination.
func (x *replayed) fill(t *testing.T) {
	t.Helper()
	x.setup(t, x.config)
	x.slow.fails(rejects, nil)
	load := x.load(1)
	load.Keys, load.Logs, load.Groups = ledger.Keys(10, "slow"), 1, crashLetters
	x.produce(t, load)
	w := x.pod(t, "failing", "w0", x.config)
	drainedRig(t, x.rig, x.kafka, time.Minute)
	w.terminate(t)
	if n := x.slow.logs.Load(); n != 0 {
		t.Fatalf("%d logs arrived at a destination that rejects all", n)
	}
	x.slow.recovers()
}

// endsOf waits for the process that meets the fault.
func (x *replayed) endsOf(t *testing.T, first *process) {
	t.Helper()
	want := map[string]int{kill: -1, term: 75, stop: 0}[x.action]
	if x.action == stop {
		<-time.After(2 * time.Second)
		first.signal(syscall.SIGCONT)
	}
	select {
	case <-first.Ended():
	case <-time.After(time.Minute):
		t.Fatalf("the replay has not ended a minute after %s", x.action)
	}
	if code := first.ExitCode(); code != want {
		t.Errorf("the replay ended with %d after %s, want %d:\n%s", code, x.action, want, first.Log())
	}
}

// replay runs one to its end.
func (x *replayed) replay(t *testing.T, args ...string) string {
	t.Helper()
	path, err := failing()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	t.Logf("%s", out)
	return string(out)
}

// judge holds the destination to at least once. Twice came what was put and not resolved
// when the process was killed: one put; with --direct a window that was being resolved and
// one that had ended meanwhile.
func (x *replayed) judge(t *testing.T) {
	t.Helper()
	slow := x.verdict(t, x.book(t), "slow (http)", x.slow.dir, func(k protocol.Key) bool { return k.Project == "slow" })
	x.row.Confirmed, x.row.Lost, x.row.Duplicates = keptAll(t, map[string]*ledger.Verdict{"slow (http)": slow})
	if x.row.Confirmed != crashLetters {
		t.Errorf("%d logs confirmed, want %d", x.row.Confirmed, crashLetters)
	}
	if x.action == kill {
		x.row.Bound = replayPut
		if x.direct() {
			x.row.Bound = 2 * crashWindow
		}
	}
	if x.row.Duplicates > x.row.Bound {
		t.Errorf("%d letters came twice, at most %d may", x.row.Duplicates, x.row.Bound)
	}
}
