//go:build unix

package e2e

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// bound is how many messages may come twice: none after a clean stop, or a Flush that
// did not reach its destination; else what a kill may repeat.
func (x *crashed) bound() int {
	abandoned := x.action == sleep && x.Point == failpoint.FlushBefore // and may reach it later
	if x.goesOn() && !abandoned || x.action == term && !x.cutShort() {
		return 0
	}
	return x.repeats()
}

// verdict compares what arrived with what was sent, and with what may come twice.
func (x *crashed) verdict(t *testing.T, bound int) {
	t.Helper()
	x.row.Bound = bound
	x.row.Confirmed, x.row.Lost, x.row.Duplicates = keptAll(t, x.allVerdicts(t))
	if x.row.Duplicates > x.row.Bound {
		t.Errorf("%d messages came twice, at most %d may", x.row.Duplicates, x.row.Bound)
	}
}

// keptAll holds every verdict to at least once, and sums them up. Groups have one log
// each, so logs are messages; of a message for two destinations the copies are counted
// once.
func keptAll(t *testing.T, all map[string]*ledger.Verdict) (confirmed, lost, duplicates int) {
	t.Helper()
	most := map[string]int{} // by project
	for name, v := range all {
		if !v.Kept() {
			t.Errorf("%s did not get what it should", name)
		}
		confirmed += v.Confirmed
		lost += v.Lost.Count
		project, _, _ := strings.Cut(name, " ")
		most[project] = max(most[project], v.Duplicates)
	}
	for _, n := range most {
		duplicates += n
	}
	return confirmed, lost, duplicates
}

// drained waits until the queue of a live worker knows that everything has ended.
func (x *crashed) drained(t *testing.T, within time.Duration) {
	t.Helper()
	if x.parks() {
		x.parked().empties(t, within)
		return
	}
	drainedRig(t, x.rig, x.kafka, within)
}

func drainedRig(t *testing.T, r *rig, k *kafka, within time.Duration) {
	t.Helper()
	if k != nil {
		k.drained(t, within)
		return
	}
	r.broker.drained(t, within)
}

// allVerdicts are those of the destinations, and of the dead letters if there have to
// be any.
func (x *crashed) allVerdicts(t *testing.T) map[string]*ledger.Verdict {
	t.Helper()
	all := x.verdicts(t)
	if x.parks() { // lanes are of other projects
		maps.DeleteFunc(all, func(name string, _ *ledger.Verdict) bool { return strings.HasPrefix(name, "waits ") })
	}
	if x.Point != failpoint.LetterPut {
		x.noDeadLetters(t)
		return all
	}
	files := ledger.Files{Run: x.run}
	count := ledger.NewCount(x.book(t), func(k protocol.Key) bool { return k.Project == homeless })
	for _, body := range x.letterBodies(t) {
		var g protocol.LogGroup
		if err := g.Unmarshal(body); err != nil {
			t.Fatalf("a dead letter is no LogGroup: %v", err)
		}
		for line := range strings.Lines(string(protocol.AppendJSONLines(nil, &g))) {
			count.See(files.Line([]byte(line), "dead letters"))
		}
	}
	all[homeless+" (dead letters)"] = count.Verdict()
	t.Logf("dead letters:\n%s", all[homeless+" (dead letters)"])
	return all
}
