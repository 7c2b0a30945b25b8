//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/queue/job"
)

// Three processes share a job: together they deliver exactly the range, and none of
// it twice.
func TestJobShards(t *testing.T) {
	t.Parallel()
	for name, rig := range jobRigs("nats") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig(t, size(3000, 20_000)).shared(t, 3)
		})
	}
}

// shared runs a job as n shards at once. While they run, another process that wants
// one of them is refused and told who has it: after the time for which the holder may
// have died.
func (j *jobRig) shared(t *testing.T, n int) {
	t.Helper()
	all, _ := j.inRange(t)
	rate := fmt.Sprintf("%d/s", int(float64(all)/float64(n)/(j.lease+6*time.Second).Seconds()))
	flags := func(i int) []string { return []string{"--of", fmt.Sprint(n), "--index", fmt.Sprint(i)} }
	shards := make([]*jobRun, n)
	for i := range shards {
		shards[i] = j.start(t, j.rig.config(t, fmt.Sprintf("s%d", i), 2000), append(flags(i), "--rate", rate)...)
	}
	eventually(t, time.Minute, "all shards deliver", func() bool {
		for _, p := range shards {
			if !p.running() {
				t.Fatal("a shard ended by itself")
			}
			if !p.delivering() {
				return false
			}
		}
		return j.arrived() > 0
	})
	second := j.start(t, j.config, flags(1)...)
	if code := second.ends(t, time.Minute); code != 75 {
		t.Errorf("a second process at shard 1 ended with %d, want 75", code)
	}
	if !shards[1].running() {
		t.Error("shard 1 ended too early: nothing was shown about a second process")
	}
	if said := second.Log(); !strings.Contains(said, fmt.Sprint(shards[1].cmd.Process.Pid)) {
		t.Errorf("the second process does not name the holder %d:\n%s", shards[1].cmd.Process.Pid, said)
	}

	sum := &jobReport{Complete: true}
	sum.Finished = true
	for i, p := range shards {
		r := p.report(t, 0, 5*time.Minute)
		if r.Shard != i || r.Of != n || !r.Complete || r.Twice != 0 || r.Messages == 0 {
			t.Errorf("shard %d reports %+v", i, r)
		}
		sum.add(r)
	}
	if got := j.judged(t); got != 0 {
		t.Errorf("%d messages came twice", got)
	}
	j.whole(t, sum)
}

// add takes the report of another shard into account.
func (r *jobReport) add(of *jobReport) {
	r.Complete = r.Complete && of.Complete
	r.Finished = r.Finished && of.Finished
	r.Messages += of.Messages
	r.Slices += of.Slices
	r.Planned.Slices += of.Planned.Slices
	r.Planned.Positions += of.Planned.Positions
	r.Missing = append(r.Missing, of.Missing...)
	r.Passed = summed(r.Passed, of.Passed)
	for entry, g := range of.Groups {
		if r.Groups == nil {
			r.Groups = map[string]job.Groups{}
		}
		have := r.Groups[entry]
		have.Flushed += g.Flushed
		have.DeadLettered = summed(have.DeadLettered, g.DeadLettered)
		have.Skipped = summed(have.Skipped, g.Skipped)
		r.Groups[entry] = have
	}
}

func summed(a, b map[string]int64) map[string]int64 {
	if a == nil && len(b) > 0 {
		a = map[string]int64{}
	}
	for k, n := range b {
		a[k] += n
	}
	return a
}
