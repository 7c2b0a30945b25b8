//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
)

// What happens to the process at a point. term sends SIGTERM and the step goes on;
// stop freezes the process for longer than its queue waits for it, and wakes it then.
// fail is an error of the step, where it can have one. Some steps also last long, or
// panic.
const (
	kill  = "kill"
	term  = "term"
	stop  = "stop"
	fail  = "error"
	sleep = "sleep"
	panik = "panic"
)

// crashPauses are the steps that something waits for with a limit, or that something else
// may overtake, and for how long they last.
var crashPauses = map[failpoint.Point]time.Duration{
	failpoint.InitBefore:       3 * time.Second,
	failpoint.FlushBefore:      10 * time.Second, // the call is abandoned
	failpoint.AckBefore:        2 * time.Second,
	failpoint.CommitBefore:     7 * time.Second, // longer than the session
	failpoint.DrainBegin:       2 * time.Second,
	failpoint.DrainRelease:     2 * time.Second,
	failpoint.ReloadSwap:       2 * time.Second,
	failpoint.RebalanceBetween: 7 * time.Second, // longer than the session
	failpoint.ClaimAfter:       3 * time.Second,
	failpoint.CheckpointBefore: 3 * time.Second,
}

// crashPanics are steps of goroutines that differ in who would see their panic, and
// whether the worker contains it, as one of a flusher's. The others end the process.
var crashPanics = map[failpoint.Point]bool{
	failpoint.InitBefore:       true,
	failpoint.FlushBefore:      true,
	failpoint.FetchAfter:       false,
	failpoint.FlushAfter:       false,
	failpoint.LetterPut:        false,
	failpoint.CommitSent:       false,
	failpoint.CheckpointBefore: false,
}

// crashPoint is how the matrix comes to a point.
type crashPoint struct {
	failpoint.Point
	nth int               // the hit that meets the process with work in hand
	not map[string]string // queues on which it cannot occur, and why
}

const (
	ofNATS  = "Kafka has no acknowledgement of a message: see commit.before and commit.sent"
	ofKafka = "NATS stores no offsets: see ack.before and ack.sent"
	noSweep = "parked records are not swept: they are served lane by lane"

	noMarks = "what is resolved is deleted, or its file is"
	noGroup = "the consumers of a durable share it without rounds"
)

// crashPoints are all of them: those that a running worker meets, those of jobs, and those
// of dead letters that are replayed or purged.
var (
	crashPoints = []crashPoint{
		{failpoint.FetchAfter, 5, nil},
		{failpoint.IntakeAfter, 200, nil},
		{failpoint.InitBefore, 3, nil},
		{failpoint.FlushBefore, 20, nil},
		{failpoint.FlushAfter, 20, nil},
		{failpoint.PartsBetween, 30, nil},
		{failpoint.LetterPut, 3, nil},
		{failpoint.ParkPut, 3, nil},
		{failpoint.ParkServed, 30, nil},
		{failpoint.ParkedMoved, 1, map[string]string{"nats": noSweep}},
		{failpoint.ParkedCommitted, 1, map[string]string{"nats": noSweep}},
		{failpoint.ParkedTried, 1, map[string]string{"nats": noSweep}},
		{failpoint.AckBefore, 150, nil},
		{failpoint.AckSent, 150, map[string]string{"kafka": ofNATS}},
		{failpoint.CommitBefore, 2, map[string]string{"nats": ofKafka}},
		{failpoint.CommitSent, 2, map[string]string{"nats": ofKafka}},
		{failpoint.DrainBegin, 1, nil},
		{failpoint.DrainRelease, 1, nil},
		{failpoint.ReloadSwap, 1, nil},
		{failpoint.RebalanceBetween, 1, map[string]string{"nats": noGroup}},
	}
	jobCrashPoints = []crashPoint{
		{failpoint.JobPublish, 1, nil},
		{failpoint.ClaimAfter, 1, nil},
		{failpoint.CheckpointBefore, 2, nil},
		{failpoint.CheckpointAfter, 2, nil},
	}
	letterCrashPoints = []crashPoint{
		{failpoint.LettersBack, 2, nil},
		{failpoint.LettersDelivered, 2, nil},
	}
	purgeCrashPoints = []crashPoint{
		{failpoint.LettersFreed, 1, map[string]string{"nats": noMarks, "files": noMarks}},
	}
	chunkCrashPoints = []crashPoint{
		{failpoint.ChunkSent, 5, map[string]string{"kafka": "a batch is stored or not: see batch.stored"}},
		{failpoint.BatchStored, 1, map[string]string{"nats": "messages are stored one by one: see chunk.sent"}},
		{failpoint.ChunkRemoved, 3, map[string]string{"kafka": "one mark resolves a letter with all its chunks"}},
	}
)

// crashSubset is what `make faults` runs; `make crash` runs all cells.
var crashSubset = []string{
	"nats/fetch.after/kill", "nats/flush.before/term", "nats/flush.after/kill", "nats/parts.between/stop",
	"nats/letter.put/kill", "nats/ack.sent/kill", "nats/drain.release/kill", "nats/flush.before/panic",
	"kafka/intake.after/term", "kafka/commit.before/sleep", "kafka/flush.after/kill", "kafka/commit.before/stop", "kafka/commit.sent/kill",
	"kafka/rebalance.between/kill", "nats/park.put/kill", "nats/park.served/kill", "kafka/park.put/kill", "kafka/park.served/kill",
	"files/job.checkpoint.after/kill", "files/job.checkpoint.before/error",
	"nats/letters.back/kill", "kafka/letters.back/kill", "files/letters.back/kill", "nats/letters.delivered/kill",
	"kafka/letters.delivered/kill", "files/letters.delivered/kill", "kafka/letters.freed/kill",
	"nats/chunk.sent/kill", "kafka/batch.stored/kill", "nats/chunk.removed/kill",
}

// The program is killed, told to end, or frozen past its broker's patience at every
// named step, and the step fails, with each queue: nothing is lost, and no more comes twice than is
// promised. A cell whose point never fired fails.
func TestCrash(t *testing.T) {
	t.Parallel()
	if _, err := failing(); err != nil {
		t.Fatal(err)
	}
	m := &crashMatrix{whole: os.Getenv("FLUSHLINE_CRASH") == "all"}
	t.Cleanup(func() { m.report(t) })
	m.begin()
	for _, queue := range []string{"nats", "kafka"} {
		for _, p := range crashPoints {
			m.cells(t, queue, p, crashWorker)
		}
	}
	for _, queue := range []string{"nats", "kafka", "files"} {
		for _, p := range jobCrashPoints {
			m.cells(t, queue, p, crashJob)
		}
		if queue != "files" { // letters of files are cut by nobody
			for _, p := range chunkCrashPoints {
				m.cells(t, queue, p, crashChunks)
			}
		}
		for _, p := range letterCrashPoints {
			m.cells(t, queue, p, crashReplay)
		}
		for _, p := range purgeCrashPoints {
			m.cells(t, queue, p, crashPurge)
		}
	}
}

// Every point of the program is in the matrix once, and the subset names cells.
func TestTheCrashMatrixIsWhole(t *testing.T) {
	t.Parallel()
	all := slices.Concat(crashPoints, jobCrashPoints, letterCrashPoints, purgeCrashPoints, chunkCrashPoints)
	for _, info := range failpoint.Points() {
		n := 0
		for _, p := range all {
			if p.Point == info.Point {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is in the matrix %d times", info.Point, n)
		}
	}
	for _, name := range crashSubset {
		f := strings.Split(name, "/")
		at := slices.IndexFunc(all, func(p crashPoint) bool { return string(p.Point) == f[1] })
		if at < 0 || all[at].not[f[0]] != "" || !slices.Contains(actionsAt(all[at].Point), f[2]) {
			t.Errorf("%s is no cell", name)
		}
	}
}

// actionsAt are those that a point can have.
func actionsAt(p failpoint.Point) []string {
	all := failpoint.Points()
	at := slices.IndexFunc(all, func(i failpoint.Info) bool { return i.Point == p })
	actions := []string{kill, term, stop}
	if all[at].Fails {
		actions = append(actions, fail)
	}
	if crashPauses[p] > 0 {
		actions = append(actions, sleep)
	}
	if _, has := crashPanics[p]; has {
		actions = append(actions, panik)
	}
	return actions
}

// crashCell is one run.
type crashCell struct {
	crashPoint
	queue, action string
	log           string // of the failpoints
	row           crashRow
}

// goesOn says that the process goes on after the action, as if nothing had happened.
func (c *crashCell) goesOn() bool {
	return c.action == fail || c.action == sleep || c.action == panik && crashPanics[c.Point]
}

// cells runs a point on a queue with each action, side by side.
func (m *crashMatrix) cells(t *testing.T, queue string, p crashPoint, run func(*testing.T, *crashCell)) {
	if why := p.not[queue]; why != "" {
		m.add(crashRow{Point: string(p.Point), Queue: queue, Cannot: why})
		return
	}
	for _, action := range actionsAt(p.Point) {
		name := queue + "/" + string(p.Point) + "/" + action
		if !m.whole && !slices.Contains(crashSubset, name) {
			continue
		}
		m.planned++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &crashCell{crashPoint: p, queue: queue, action: action, log: filepath.Join(t.TempDir(), "failpoints")}
			c.row = crashRow{Point: string(p.Point), Queue: queue, Action: action}
			defer func() {
				if t.Skipped() { // there is no such broker
					return
				}
				c.row.Fired = c.times()
				c.row.Failed = t.Failed()
				m.add(c.row)
			}()
			run(t, c)
		})
	}
}

// failing is the program with failpoints, without the race detector: it is as quick as
// what is released.
var failing = sync.OnceValues(func() (string, error) {
	path := filepath.Join(bin, "failing")
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "failpoint", "-o", path, "../../cmd/flushline")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("couldn't build the program with failpoints: %w\n%s", err, out)
	}
	return path, nil
})

// command is the program as this cell runs it first.
func (c *crashCell) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := failing()
	if err != nil {
		t.Fatal(err)
	}
	action := c.action
	if action == sleep {
		action = fmt.Sprintf("sleep(%s)", crashPauses[c.Point])
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("FLUSHLINE_FAILPOINT=%s:%d:%s", c.Point, c.nth, action), "FLUSHLINE_FAILPOINT_LOG="+c.log)
	return cmd
}

func (c *crashCell) noted() string {
	b, _ := os.ReadFile(c.log) // not there: nothing was hit
	return string(b)
}

// fired waits until the action was taken so often.
func (c *crashCell) fired(t *testing.T, times int) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%s fires, time %d", c.Point, times), func() bool {
		return c.times() >= times
	})
}

// times is how often the action was taken.
func (c *crashCell) times() int { return strings.Count(c.noted(), "fired "+string(c.Point)+" ") }
