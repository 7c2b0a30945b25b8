//go:build unix

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/internal/ledger"
)

// pausesOnKafka has two workers that are not ready for longer than the session and the
// rebalance timeout: the group does not change, nothing is fetched beyond the window or
// delivered again, and flow is back at once.
func pausesOnKafka(t *testing.T) {
	const window = 100
	lasts, resume := size(9*time.Second, 60*time.Second), size(2*time.Second, time.Second)
	r, k := newKafkaRig(t)
	r.drain, k.rebalance = 2*time.Second, 7*time.Second
	gate := filepath.Join(r.dir, "gate")
	config := func(name string) string {
		return r.write(t, name, window, fmt.Sprintf(`
  - name: all
    flushers:
      - {type: gated, path: "%s/gated/%s", gate: %q, flush_timeout: 2s}
`, r.dir, name, gate))
	}
	one, two := config("w1"), config("w2")
	r.setup(t, one)
	open(t, gate)
	pods := []*pod{r.pod(t, "program", "w1", one), r.pod(t, "program", "w2", two)}
	flushed := func() int { return lines(t, r.dir+"/gated/w1") + lines(t, r.dir+"/gated/w2") }
	before := k.settled(t, len(pods))
	load := r.load(20)
	load.Groups = 2000
	r.produce(t, load)
	eventually(t, time.Minute, "logs flow", func() bool { return flushed() > 100 })

	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	load.Groups = 4 * window * partitions
	r.produce(t, load)
	for _, p := range pods {
		eventually(t, 20*time.Second, p.name+"'s windows are full", func() bool { return p.full(t, window) })
	}
	atRest := flushed()
	committed := k.cluster.Committed(t, k.group, k.topic)
	eventually(t, 30*time.Second, "what was flushed before is committed", func() bool {
		before := committed
		<-time.After(3 * time.Second) // of which each has its commits
		committed = k.cluster.Committed(t, k.group, k.topic)
		return cmp.Equal(before, committed)
	})
	received := make([]int64, len(pods))
	for i, p := range pods {
		received[i] = p.status(t).Sources[0].Messages
	}
	rebalances := pods[0].metric(t, "flushline_rebalances_total") + pods[1].metric(t, "flushline_rebalances_total")
	for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if diff := cmp.Diff(before, k.cluster.Group(t, k.group)); diff != "" {
			t.Fatalf("the group changed: %s", diff)
		}
		for i, p := range pods {
			if now := p.status(t).Sources[0].Messages; now != received[i] {
				t.Fatalf("%s received %d messages during the pause", p.name, now-received[i])
			}
			if code, body := get(t, "http://"+p.address(t, "metrics")+"/readyz"); code != http.StatusOK {
				t.Errorf("/readyz of a paused worker: %d %s", code, body)
			}
		}
	}
	if now := flushed(); now != atRest {
		t.Fatalf("%d logs were flushed while the flushers were not ready", now-atRest)
	}
	if now := pods[0].metric(t, "flushline_rebalances_total") + pods[1].metric(t, "flushline_rebalances_total"); now != rebalances {
		t.Errorf("%v rebalances during the pause", now-rebalances)
	}
	if diff := cmp.Diff(committed, k.cluster.Committed(t, k.group, k.topic)); diff != "" {
		t.Errorf("offsets moved during the pause: %s", diff)
	}

	open(t, gate)
	opened := time.Now()
	eventually(t, time.Minute, "flow resumes", func() bool { return flushed() > atRest })
	took := time.Since(opened)
	t.Logf("paused for %s with a session of %s and a rebalance timeout of %s; flow was back after %s", lasts, session, k.rebalance, took)
	if took > resume {
		t.Errorf("flow resumed after %s, want at most %s", took, resume)
	}
	k.drained(t, time.Minute)
	for _, p := range pods {
		p.terminate(t)
	}
	r.judgeOne(t, "gated", r.dir+"/gated", nil, (*ledger.Verdict).Once)
	r.noDeadLetters(t)
}
