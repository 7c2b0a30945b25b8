//go:build unix

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// Three workers are restarted in turn under load, again and again: nothing is
// lost, and nothing comes twice.
func TestKafkaRollingRestarts(t *testing.T) {
	r, k := newKafkaRig(t)
	c := newCrew(t, r, k, seeded(t))
	rolling(t, c, r.load(50), nil)
	r.judge(t, (*ledger.Verdict).Once)
}

// The same while one destination never takes anything: what ended above the
// messages that wait for it is remembered over each hand-over.
func TestKafkaRollingRestartsBesideABlockedLane(t *testing.T) {
	r, k := newKafkaRig(t)
	r.drain, r.timeout, k.span = 2*time.Second, 2*time.Second, 20_000
	gate, out := filepath.Join(r.dir, "gate"), filepath.Join(r.dir, "blocked")
	r.first = func(pod string) string {
		return fmt.Sprintf(`
  - name: blocked
    match: {project: blocked}
    when_blocked: wait
    flushers:
      - {type: gated, path: "%s/%s", gate: %q, flush_timeout: 2s}`, out, pod, gate)
	}
	c := newCrew(t, r, k, seeded(t))
	c.program = "program"
	load := r.load(0)
	load.Keys = append(ledger.Keys(30, "waits", "slow", "both"), ledger.Keys(2, "blocked")...)
	rolling(t, c, load, func() {
		if n := lines(t, out); n != 0 {
			t.Errorf("%d logs went through the blocked lane", n)
		}
		if lag := k.lag(t); lag == 0 {
			t.Error("nothing waited for the blocked lane: nothing was shown")
		}
		open(t, gate)
	})
	r.judge(t, (*ledger.Verdict).Once)
	book, err := ledger.LoadBook(r.path)
	if err != nil {
		t.Fatal(err)
	}
	r.judgeOne(t, book, "blocked", out, func(k protocol.Key) bool { return k.Project == "blocked" }, (*ledger.Verdict).Once)
}

// The same with static membership: the group does not notice.
func TestKafkaRollingRestartsOfStaticMembers(t *testing.T) {
	r, k := newKafkaRig(t)
	k.static = true
	c := newCrew(t, r, k, seeded(t))
	before := map[string]map[string][]int32{}
	rolling(t, c, r.load(50), func() {
		for _, m := range k.cluster.Group(t, k.group).Members {
			before[m.Instance] = m.Assigned
		}
	})
	after := map[string]map[string][]int32{}
	for _, m := range k.cluster.Group(t, k.group).Members {
		after[m.Instance] = m.Assigned
	}
	if diff := cmp.Diff(before, after); diff != "" || len(after) != len(crewNames) {
		t.Errorf("partitions moved: %s", diff)
	}
	r.judge(t, (*ledger.Verdict).Once)
}

// rolling restarts each worker of the crew in turn under load, round by round,
// and waits at the end until all is committed.
func rolling(t *testing.T, c *crew, load ledger.Load, beforeTheEnd func()) {
	t.Helper()
	rounds := size(2, 20)
	load.Rate = 300
	c.all(t)
	stop := c.rig.producing(t, load)
	var longest time.Duration
	for range rounds {
		for _, name := range crewNames {
			seen := c.rig.slow.logs.Load()
			eventually(t, time.Minute, "logs flow", func() bool { return c.rig.slow.logs.Load() > seen+50 })
			<-time.After(time.Duration(c.rng.IntN(500)) * time.Millisecond)
			took := c.leave(t, name)
			longest = max(longest, took)
			if most := c.rig.drain + 5*time.Second; took > most {
				t.Errorf("%s took %s to stop, the drain is %s and a commit may take 5s more", name, took, c.rig.drain)
			}
			c.join(t, name)
			c.kafka.settled(t, len(crewNames))
			c.pods[name].serves(t)
		}
	}
	stop()
	t.Logf("%d clean stops under load, the longest took %s", c.left, longest.Round(time.Millisecond))
	if beforeTheEnd != nil {
		beforeTheEnd()
	}
	c.kafka.drained(t, 2*time.Minute)
	for _, name := range crewNames {
		c.pods[name].status(t)
	}
	for _, name := range crewNames {
		c.leave(t, name)
	}
}
