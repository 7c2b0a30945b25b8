//go:build unix

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

	// What a replay that is killed may deliver twice: what it puts at once; with --direct a
	// window that is being resolved and one that has ended meanwhile, and what its worker
	// puts at once of letters that failed again.
	replayPut     = 256
	replayWindows = 2 * crashWindow
	lettersPut    = 512
)

// crashReplay runs a cell of `dlq replay`: a destination that rejected everything is
// mended, and its letters are replayed by a process that meets the fault and by one behind
// it. Letters that lie in files come from NATS.
func crashReplay(t *testing.T, c *crashCell) {
	x := newReplayed(t, c)
	x.meets(t)
	x.delivers(t)
	if c.action == kill {
		c.row.Bound = map[bool]int{true: replayWindows, false: replayPut}[x.direct]
	}
	x.judge(t)
}

// What a kill between two other steps of a direct replay leaves is delivered by the next
// one: behind a Flush, and behind the put of a letter that failed again.
func TestADirectReplayThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	if _, err := failing(); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"nats", "kafka", "files"} {
		for _, point := range []crashPoint{{failpoint.FlushAfter, 3, nil}, {failpoint.LetterPut, 1, nil}} {
			t.Run(queue+"/"+string(point.Point), func(t *testing.T) {
				t.Parallel()
				x := newReplayed(t, &crashCell{crashPoint: point, queue: queue, action: kill, log: filepath.Join(t.TempDir(), "failpoints")})
				x.direct = true
				if point.Point == failpoint.LetterPut {
					x.slow.fails(rejects, nil)
				}
				x.meets(t)
				x.slow.recovers()
				x.delivers(t)
				x.row.Bound = replayWindows
				if point.Point == failpoint.LetterPut {
					x.row.Bound += lettersPut
				}
				x.judge(t)
			})
		}
	}
}

// newReplayed has everything become a dead letter.
func newReplayed(t *testing.T, c *crashCell) *replayed {
	t.Helper()
	x := &replayed{crashCell: c, direct: c.Point == failpoint.LettersDelivered}
	x.rig, x.kafka = boundedRig(t, c.queue)
	x.deadLetter = "stop_after: 1000000"
	if c.queue == "files" {
		x.deadLetter += fmt.Sprintf(", file: %q", t.TempDir())
	}
	x.config = x.rig.config(t, "w1", crashWindow)
	x.appendConfig(t)
	x.fill(t)
	return x
}

// args are the command.
func (x *replayed) args() []string {
	args := []string{"dlq", "replay", "-c", x.config}
	if x.direct {
		args = append(args, "--direct")
	}
	return args
}

// meets runs the process that meets the fault.
func (x *replayed) meets(t *testing.T) {
	t.Helper()
	cmd := x.command(t, x.args()...)
	p, out := child.Start(t, "replay", cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	x.fired(t, 1)
	x.fault = time.Now()
	x.endsOf(t, &process{p, "replay", cmd})
}

// delivers replays what is left, and has workers deliver what lies in the queue.
func (x *replayed) delivers(t *testing.T) {
	t.Helper()
	x.replay(t, x.args()...)
	if left := x.replay(t, x.args()...); !strings.Contains(left, "replayed 0 letters") {
		t.Errorf("behind a whole replay: %s", left)
	}
	x.row.Recovery = time.Since(x.fault).Seconds()
	if !x.direct {
		w := x.pod(t, "failing", "w1", x.config)
		drainedRig(t, x.rig, x.kafka, time.Minute)
		w.terminate(t)
	}
	x.row.Settled = time.Since(x.fault).Seconds()
}

// replayed is a cell of `dlq replay` on its way.
type replayed struct {
	*crashCell
	*rig
	kafka      *kafka // nil: NATS
	config     string
	deadLetter string
	direct     bool
	fault      time.Time
}

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

// judge holds the destination to at least once, and to the bound on what comes twice.
func (x *replayed) judge(t *testing.T) {
	t.Helper()
	slow := x.verdict(t, x.book(t), "slow (http)", x.slow.dir, func(k protocol.Key) bool { return k.Project == "slow" })
	x.row.Confirmed, x.row.Lost, x.row.Duplicates = keptAll(t, map[string]*ledger.Verdict{"slow (http)": slow})
	if x.row.Confirmed != crashLetters {
		t.Errorf("%d logs confirmed, want %d", x.row.Confirmed, crashLetters)
	}
	if x.row.Duplicates > x.row.Bound {
		t.Errorf("%d letters came twice, at most %d may", x.row.Duplicates, x.row.Bound)
	}
}
