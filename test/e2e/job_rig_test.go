//go:build unix

package e2e

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/queue/job"
)

// jobRig is a rig whose traffic lies in its queue before a job delivers a range of it.
// A group has one log and, but for files, is a message: what the report counts as
// messages are logs of the ledger.
type jobRig struct {
	*rig
	command []string      // with what is to be delivered
	config  string        // that of a job of one shard
	name    string        // of the job; a later start with the same goes on
	packed  int64         // groups that a message has at most
	lease   time.Duration // for how long a killed process keeps its shard
	began   time.Time     // of the load

	untouched func(t *testing.T) // nobody consumes but the job, and it leaves no trace there
	extra     func(t *testing.T, at *jobReport)
}

// jobRigs makes jobs on each queue by its name; one of them is for full size only.
func jobRigs(full string) map[string]func(t *testing.T, groups int) *jobRig {
	rigs := map[string]func(*testing.T, int) *jobRig{"nats": natsJob, "kafka": kafkaJob, "files": fileJob}
	if !long {
		delete(rigs, full)
	}
	return rigs
}

// logBytes is what a log is filled up by.
const logBytes = 200

// jobReport is what --json prints.
type jobReport struct {
	job.Report
	Complete bool     `json:"complete"`
	Missing  []string `json:"missing"`
	Remark   string   `json:"remark"`
}

// flushed is how many groups a flusher entry took.
func (r *jobReport) flushed(entry string) int64 { return r.Groups[entry].Flushed }

// passed is how many positions held no message for the job.
func (r *jobReport) passed() (n int64) {
	for _, p := range r.Passed {
		n += p
	}
	return n
}

// jobRun is a job's process.
type jobRun struct {
	*process
	out  []byte        // standard output
	read chan struct{} // out is whole
}

// start runs the job.
func (j *jobRig) start(t *testing.T, config string, flags ...string) *jobRun {
	t.Helper()
	args := slices.Concat(j.command, []string{"-c", config, "--job", j.name, "--json"}, flags)
	p, out := start(t, "job", bin+"/flushline", args...)
	run := &jobRun{process: p, read: make(chan struct{})}
	go func() {
		defer close(run.read)
		run.out, _ = io.ReadAll(out) // a killed process prints what it prints
	}()
	return run
}

// ends waits for the end of the process and returns its exit code.
func (p *jobRun) ends(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.Ended():
	case <-time.After(within):
		t.Fatalf("the job has not ended after %s", within)
	}
	<-p.read
	return p.ExitCode()
}

// report waits for the end of the job with an exit code, and is what it says then.
func (p *jobRun) report(t *testing.T, code int, within time.Duration) *jobReport {
	t.Helper()
	if got := p.ends(t, within); got != code {
		t.Fatalf("the job ended with %d, want %d:\n%s", got, code, p.out)
	}
	r := new(jobReport)
	if err := json.Unmarshal(p.out, r); err != nil {
		t.Fatalf("the job printed no report: %v\n%s", err, p.out)
	}
	t.Logf("%d messages, %d bytes, passed %v, groups %+v, %d starts, %d killed, at most %d duplicates, %s",
		r.Messages, r.Bytes, r.Passed, r.Groups, r.Starts, r.Killed, r.Twice, r.Elapsed)
	return r
}

// delivering says that the process has its shard and delivers.
func (p *jobRun) delivering() bool { return strings.Contains(p.Log(), `"job begins"`) }

// arrived is how many groups of the range the servers among the destinations have,
// and expected how many there are for them.
func (j *jobRig) arrived() int64 { return j.slow.ids.Load() + j.both.ids.Load() }

func (j *jobRig) expected(t *testing.T) (n int64) {
	t.Helper()
	for _, e := range j.book(t) {
		if e.Logs > 0 && e.Key.Project != "waits" {
			n++
		}
	}
	return n
}

// inRange counts the groups of the range by project.
func (j *jobRig) inRange(t *testing.T) (all int64, of map[string]int64) {
	t.Helper()
	of = map[string]int64{}
	for _, e := range j.book(t) {
		if e.Logs > 0 {
			all++
			of[e.Key.Project]++
		}
	}
	return all, of
}

// whole checks the report of a job that delivered all of its range. It counts each
// message once, however often it was started.
func (j *jobRig) whole(t *testing.T, r *jobReport) {
	t.Helper()
	all, of := j.inRange(t)
	if !r.Finished || !r.Complete || len(r.Missing) > 0 || j.packed == 1 && r.Messages != all {
		t.Errorf("the report is of %d messages, the range has %d groups; finished %t, complete %t, missing %q", r.Messages, all, r.Finished, r.Complete, r.Missing)
	}
	if r.Planned.Positions > 0 && r.Messages+r.passed() != r.Planned.Positions {
		t.Errorf("%d messages and %d other positions are not the %d that were planned", r.Messages, r.passed(), r.Planned.Positions)
	}
	if r.Slices != r.Planned.Slices {
		t.Errorf("%d of %d slices have ended", r.Slices, r.Planned.Slices)
	}
	for entry, want := range map[string]int64{"waits/file": of["waits"], "slow/http": of["slow"], "both/file": of["both"], "both/http": of["both"]} {
		if got := r.flushed(entry); got != want {
			t.Errorf("the report says that %s took %d groups, want %d", entry, got, want)
		}
		if g := r.Groups[entry]; len(g.DeadLettered)+len(g.Skipped) > 0 {
			t.Errorf("the report says of %s: %+v", entry, g)
		}
	}
	if j.extra != nil {
		j.extra(t, r)
	}
}

// judged compares the range with what arrived. A message that came twice is counted
// once for each time, although it may have come to two destinations of one route.
func (j *jobRig) judged(t *testing.T) (duplicates int64) {
	t.Helper()
	most := map[string]int{} // by project
	for name, v := range j.verdicts(t) {
		if !v.Kept() {
			t.Errorf("%s did not get exactly the range", name)
		}
		project, _, _ := strings.Cut(name, " ")
		most[project] = max(most[project], v.Duplicates)
	}
	j.noDeadLetters(t)
	j.untouched(t)
	for _, n := range most {
		duplicates += int64(n)
	}
	return duplicates
}

// again starts a finished job once more: it says so and delivers nothing.
func (j *jobRig) again(t *testing.T, was *jobReport) {
	t.Helper()
	before := j.total(t)
	r := j.start(t, j.config).report(t, 0, time.Minute)
	if r.Remark == "" || r.Messages != was.Messages || r.Starts != was.Starts {
		t.Errorf("a finished job that is started again reports %+v (%q)", r.Report, r.Remark)
	}
	if after := j.total(t); after != before {
		t.Errorf("a finished job that was started again delivered %d logs", after-before)
	}
}

// total is how many logs all destinations have.
func (j *jobRig) total(t *testing.T) (n int) {
	t.Helper()
	for _, root := range []string{j.dir + "/waits", j.dir + "/both", j.slow.dir, j.both.dir} {
		tally, err := ledger.Read(ledger.Files{Root: root, Run: j.run}, func(ledger.Sighting) {})
		if err != nil {
			t.Fatal(err)
		}
		n += tally.Logs
	}
	return n
}
