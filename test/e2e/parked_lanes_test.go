//go:build unix

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// number is that of a key's logstore.
func number(k protocol.Key) (n int) {
	if _, err := fmt.Sscanf(k.Logstore, "store%d", &n); err != nil {
		return -1
	}
	return n
}

// even and odd are every other lane of the slow destination; it has every third key.
func even(k protocol.Key) bool { return k.Project == "slow" && number(k)/3%2 == 0 }
func odd(k protocol.Key) bool  { return k.Project == "slow" && number(k)/3%2 == 1 }

// oneOfTwoRecovers has all lanes of a destination die. On Kafka there are more of them
// than partitions, so some share one; on NATS all are in one stream. Every other lane
// recovers and is drained in full while the rest stays.
func oneOfTwoRecovers(t *testing.T, p *parkedRig) {
	config := p.config(t, "w1", 500)
	p.setup(t, config)
	load := p.few()
	load.Rate = 200
	stop := p.producing(t, load)
	w := p.pod(t, "flushline", "w1", config)
	p.dies(t, refuses, nil)
	p.flowsBeside(t, p.both, size(5, 50))
	p.parks(t, size[int64](200, 5000))
	p.slow.fails(refuses, odd)
	upTo := p.journal.Tried()
	p.catchesUp(t, even, upTo)
	if dead := p.missing(t, odd, upTo); dead == 0 || p.left(t) == 0 {
		t.Errorf("%d logs of the dead lanes are missing and %d records are parked: nothing was shown", dead, p.left(t))
	}
	p.recovers(t, stop)
	w.status(t)
	w.terminate(t)
	p.once(t)
}

// missing is how many logs of these keys, up to a group, the slow destination has not got.
func (p *parkedRig) missing(t *testing.T, of ledger.Of, upTo uint64) int {
	t.Helper()
	count := ledger.NewCount(p.book(t)[:upTo], of)
	see := func(s ledger.Sighting) {
		if s.ID.Group < upTo {
			count.See(s)
		}
	}
	if _, err := ledger.Read(ledger.Files{Root: p.slow.dir, Run: p.run}, see); err != nil {
		t.Fatal(err)
	}
	return count.Verdict().Lost.Count
}

// catchesUp waits until these logs have arrived.
func (p *parkedRig) catchesUp(t *testing.T, of ledger.Of, upTo uint64) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		missing := p.missing(t, of, upTo)
		if missing == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d logs of lanes whose destination is back have not arrived after two minutes", missing)
		}
	}
}

// fan is a route whose messages go to both destinations.
func (p *parkedRig) fan(pod string) string {
	return fmt.Sprintf(`
  - name: fan
    match: {project: fan}
    when_blocked: %s
    flushers:
      - {type: http, name: slow, url: %q, flush_timeout: 4s}
      - {type: http, name: both, url: %q, flush_timeout: 4s}
`, p.blocked, p.slow.url, p.both.url)
}

// deadFlusherOfAFanOut has one of two destinations of the same messages hang, and then
// refuse: the other one gets each of them once, as if nothing was.
func deadFlusherOfAFanOut(t *testing.T, p *parkedRig) {
	p.entries = append(p.entries, "fan.slow", "fan.both")
	p.first = p.fan
	config := p.config(t, "w1", 200)
	p.setup(t, config)
	load := p.load(6)
	load.Logs, load.Rate, load.Keys = 1, 200, ledger.Keys(6, "fan")
	stop := p.producing(t, load)
	w := p.pod(t, "flushline", "w1", config)
	eventually(t, time.Minute, "logs flow", func() bool { return p.slow.logs.Load() > 20 && p.both.logs.Load() > 20 })
	p.dies(t, hangs, nil)
	p.flowsBeside(t, p.both, size(5, 50))
	p.slow.fails(refuses, nil)
	p.parks(t, size[int64](500, 5000)) // more than the window
	p.flowsBeside(t, p.both, size(5, 50))
	if n := p.slow.newest.Load(); p.both.newest.Load() < n+200 {
		t.Errorf("the dead destination has group %d, the other one %d: nothing was shown", n, p.both.newest.Load())
	}
	p.recovers(t, stop)
	w.status(t)
	w.terminate(t)
	p.onceAt(t, "the healthy one", p.both.dir, project("fan"))
	p.onceAt(t, "the one that was dead", p.slow.dir, project("fan"))
	p.noDeadLetters(t)
}
