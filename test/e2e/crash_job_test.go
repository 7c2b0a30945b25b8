//go:build unix

package e2e

import (
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/internal/failpoint"
)

// What a job of the matrix delivers, and how fast until its fault: its groups are many more
// than what its bounds allow to come twice.
const (
	crashGroups  = 4000
	crashJobRate = 400 // groups a second
)

// crashJob runs a cell of a job.
func crashJob(t *testing.T, c *crashCell) {
	j := jobOn(t, c.queue, crashGroups)
	first := j.meets(t, c, fmt.Sprintf("%d/s", crashJobRate))
	c.fired(t, 1)
	fault := time.Now()
	var beside time.Duration
	switch c.action {
	case kill:
		if code := first.ends(t, time.Minute); code != -1 {
			t.Errorf("the job ended with %d", code)
		}
	case term:
		if code := first.ends(t, time.Minute); code != 75 {
			t.Errorf("the job ended with %d, want 75", code)
		}
	case stop:
		beside = j.outrun(t, first, c)
	case panik:
		if code := first.ends(t, time.Minute); code <= 0 || code == 75 {
			t.Errorf("the job ended with %d", code)
		}
	case fail, sleep: // it goes on
		if code := first.ends(t, time.Minute); code != 0 {
			t.Errorf("the job ended with %d", code)
		}
	}
	r := j.start(t, j.config).report(t, 0, 2*time.Minute)
	c.row.Recovery = time.Since(fault).Seconds()
	c.row.Settled = c.row.Recovery
	j.whole(t, r)
	all, _ := j.inRange(t)
	c.row.Confirmed = int(all)
	for _, v := range j.verdicts(t) {
		c.row.Lost += v.Lost.Count
	}
	c.row.Duplicates = int(j.judged(t))
	c.row.Bound = j.crashBound(c, beside)
	if c.action == kill || c.action == panik {
		c.row.Bound = min(c.row.Bound, int(r.Twice*j.packed))
	}
	if c.row.Duplicates > c.row.Bound {
		t.Errorf("%d groups came twice, at most %d may", c.row.Duplicates, c.row.Bound)
	}
	j.again(t, r)
}

// crashBound is how many groups of a job may come twice: none before it has handed out
// any; then what it handed out since its last checkpoint, which is stored each second and
// may take another or two, and one message. One that was frozen delivers beside the next
// until it stores again, or ends.
func (j *jobRig) crashBound(c *crashCell, beside time.Duration) int {
	began := c.Point != failpoint.JobPublish && c.Point != failpoint.ClaimAfter
	switch c.action {
	case fail, sleep, term:
		return 0
	case stop:
		if c.locked() { // nobody else delivers
			return 0
		}
	default:
		if !began {
			return 0
		}
	}
	return int(crashJobRate*(3*time.Second+beside).Seconds()) + int(j.packed)
}

// locked says that the job's process has the lock of a file, which it keeps while it is
// frozen.
func (c *crashCell) locked() bool { return c.queue == "files" && c.Point != failpoint.JobPublish }

// jobOn is a job on a queue by its name.
func jobOn(t *testing.T, queue string, groups int) *jobRig {
	t.Helper()
	switch queue {
	case "nats":
		return natsJob(t, groups)
	case "kafka":
		j := kafkaJob(t, groups)
		j.extra = nil // on a busy machine a transaction may need a second try, and leaves another marker
		return j
	}
	return fileJob(t, groups)
}

// meets starts the process that meets the fault, and delivers so much until then.
func (j *jobRig) meets(t *testing.T, c *crashCell, rate string) *jobRun {
	t.Helper()
	args := slices.Concat(j.command, []string{"-c", j.config, "--job", j.name, "--json", "--rate", rate})
	cmd := c.command(t, args...)
	p, out := child.Start(t, "job", cmd)
	run := &jobRun{process: &process{p, "job", cmd}, read: make(chan struct{})}
	go func() {
		defer close(run.read)
		run.out, _ = io.ReadAll(out) // a killed process prints what it prints
	}()
	return run
}

// outrun has another process try while the first is frozen. What holds a shard by
// the lock of a file keeps it; else the other one takes over and does it all. The first
// then wakes, and ends with what it can do: nothing any more, or all. For how long it was
// awake is returned.
func (j *jobRig) outrun(t *testing.T, first *jobRun, c *crashCell) time.Duration {
	t.Helper()
	second := j.start(t, j.config)
	code := second.ends(t, 2*time.Minute)
	locked := c.locked()
	if want := map[bool]int{true: 75, false: 0}[locked]; code != want {
		t.Errorf("the second process ended with %d, want %d:\n%s", code, want, second.out)
	}
	woke := time.Now()
	first.signal(syscall.SIGCONT)
	code = first.ends(t, time.Minute)
	if code != 0 && (code != 75 || locked) {
		t.Errorf("the frozen process ended with %d after it woke:\n%s", code, first.out)
	}
	return time.Since(woke)
}
