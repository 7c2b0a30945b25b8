//go:build unix

package e2e

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
	"github.com/flushline/flushline/protocol"
)

// Three workers are restarted in turn while one destination never takes anything: what ended above the
// messages that wait for it is remembered over each hand-over.
func TestKafkaRollingRestartsBesideABlockedLane(t *testing.T) {
	t.Parallel()
	r, k := newKafkaRig(t)
	r.drain, r.timeout, k.span, k.session = 2*time.Second, 2*time.Second, 20_000, patient
	gate, out := filepath.Join(r.dir, "gate"), filepath.Join(r.dir, "blocked")
	r.first = func(pod string) string {
		return fmt.Sprintf(`
  - name: blocked
    match: {project: blocked}
    when_blocked: wait
    flushers:
      - {type: gated, path: "%s/%s", gate: %q, flush_timeout: 2s}`, out, pod, gate)
	}
	c := newCrew(t, r, k, seed.New(t))
	c.program = "program"
	load := r.load(0)
	load.Keys = append(ledger.Keys(30, "waits", "slow", "both"), ledger.Keys(2, "blocked")...)
	rolling(t, c, load, size(1, 20), nil, func() {
		if n := lines(t, out); n != 0 {
			t.Errorf("%d logs went through the blocked lane", n)
		}
		if lag := k.lag(t); lag == 0 {
			t.Error("nothing waited for the blocked lane: nothing was shown")
		}
		open(t, gate)
	})
	r.judge(t, (*ledger.Verdict).Once)
	r.judgeOne(t, "blocked", out, func(k protocol.Key) bool { return k.Project == "blocked" }, (*ledger.Verdict).Once)
}

// The same with static membership: each worker finds its partitions again, and the
// others do not notice.
func TestKafkaRollingRestartsOfStaticMembers(t *testing.T) {
	t.Parallel()
	r, k := newKafkaRig(t)
	k.static, k.session = true, patient
	c := newCrew(t, r, k, seed.New(t))
	c.all(t)
	for _, name := range crewNames {
		c.pods[name].serves(t)
	}
	owned, rounds := k.instances(t), map[string]float64{}
	for _, name := range crewNames {
		rounds[name] = c.pods[name].metric(t, "flushline_rebalances_total")
	}
	rolling(t, c, r.load(50), size(1, 20), func(name string) {
		if diff := cmp.Diff(owned, k.instances(t)); diff != "" {
			t.Fatalf("partitions moved when %s was restarted: %s", name, diff)
		}
		rounds[name] = 0 // it is another process
		for _, other := range crewNames {
			if now := c.pods[other].metric(t, "flushline_rebalances_total"); now != rounds[other] {
				t.Errorf("%s saw %v rebalances when %s was restarted", other, now-rounds[other], name)
			}
		}
	}, nil)
	r.judge(t, (*ledger.Verdict).Once)
}

// instances are the partitions of each static member.
func (k *kafka) instances(t *testing.T) map[string][]int32 {
	t.Helper()
	owned := map[string][]int32{}
	for _, m := range k.cluster.Group(t, k.group).Members {
		owned[m.Instance] = m.Assigned[k.topic]
	}
	return owned
}

// patient is a session that nobody outlasts, where nothing waits for its end.
const patient = 12 * time.Second

// rolling restarts each worker of the crew in turn under load, round by round,
// and waits at the end until all is committed.
func rolling(t *testing.T, c *crew, load ledger.Load, rounds int, each func(name string), beforeTheEnd func()) {
	t.Helper()
	load.Rate = 300
	c.all(t)
	stop := c.rig.producing(t, load)
	var longest time.Duration
	var held int64
	for range rounds {
		for _, name := range crewNames {
			seen := c.rig.slow.logs.Load()
			eventually(t, time.Minute, "logs flow", func() bool { return c.rig.slow.logs.Load() > seen+50 })
			<-time.After(time.Duration(c.rng.IntN(500)) * time.Millisecond)
			held += c.pods[name].held(t)
			took := c.leave(t, name)
			longest = max(longest, took)
			if most := c.rig.drain + 5*time.Second; took > most {
				t.Errorf("%s took %s to stop, the drain is %s and a commit may take 5s more", name, took, c.rig.drain)
			}
			c.join(t, name)
			c.kafka.settled(t, len(crewNames))
			c.pods[name].serves(t)
			if each != nil {
				each(name)
			}
		}
	}
	stop()
	t.Logf("%d clean stops under load met %d messages that were held, the longest took %s", c.left, held, longest.Round(time.Millisecond))
	if held == 0 {
		t.Error("no stop met a message that was held: nothing was shown")
	}
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
