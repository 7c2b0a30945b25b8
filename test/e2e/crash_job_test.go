//go:build unix

package e2e

import (
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
)

// crashGroups is how many groups a job of the matrix delivers.
const crashGroups = 1200

// crashJob runs a cell of a job.
func crashJob(t *testing.T, c *crashCell) {
	j := jobOn(t, c.queue, crashGroups)
	first := j.meets(t, c, "400/s")
	c.fired(t, 1)
	fault := time.Now()
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
		j.outrun(t, first, c)
	case fail: // it tries again
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
	switch c.action {
	case kill:
		c.row.Bound = int(r.Twice * j.packed)
	case stop: // two deliver for a moment
		c.row.Bound = int(20_000 * j.packed)
	}
	if c.row.Duplicates > c.row.Bound {
		t.Errorf("%d groups came twice, at most %d may", c.row.Duplicates, c.row.Bound)
	}
	j.again(t, r)
}

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
// then wakes, and ends with what it can do: nothing any more, or all.
func (j *jobRig) outrun(t *testing.T, first *jobRun, c *crashCell) {
	t.Helper()
	second := j.start(t, j.config)
	code := second.ends(t, 2*time.Minute)
	locked := c.queue == "files" && c.Point != "job.publish"
	if want := map[bool]int{true: 75, false: 0}[locked]; code != want {
		t.Errorf("the second process ended with %d, want %d:\n%s", code, want, second.out)
	}
	first.signal(syscall.SIGCONT)
	code = first.ends(t, time.Minute)
	if code != 0 && (code != 75 || locked) {
		t.Errorf("the frozen process ended with %d after it woke:\n%s", code, first.out)
	}
}
