//go:build unix

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
)

// turmoil is a crew to whose workers things happen while other things happen to
// others.
type turmoil struct {
	*crew
	told     map[string]bool      // to stop
	hampered map[string]bool      // frozen, so that a drain may pass meanwhile
	wakes    map[string]time.Time // frozen until then

	killed, frozen, met int   // met: while messages were ahead of their commits
	ahead, atRisk       int64 // in messages: what was, and what may have been
}

// step lets something happen to one worker, and does not wait for what follows.
func (c *turmoil) step(t *testing.T, hurt bool) {
	t.Helper()
	c.look(t)
	name := crewNames[c.rng.IntN(len(crewNames))]
	p, what := c.pods[name], c.rng.IntN(size(5, 10))
	switch {
	case p == nil:
		c.begin(t, name)
	case !c.wakes[name].IsZero(): // sleeps
	case hurt && what == 0:
		c.risk(t, name)
		p.kill()
		delete(c.pods, name)
		c.killed++
	case hurt && what == 1:
		c.risk(t, name)
		p.signal(syscall.SIGSTOP)
		c.hampered[name] = true
		c.wakes[name] = time.Now().Add(time.Duration(c.rng.Int64N(int64(2 * c.kafka.session))))
		c.frozen++
	case (what == 2 || !hurt && what < 2) && !c.told[name]:
		p.address(t, "metrics") // it has begun
		p.signal(syscall.SIGTERM)
		c.told[name] = true
		c.left++
	}
}

func (c *turmoil) begin(t *testing.T, name string) {
	t.Helper()
	c.told[name], c.hampered[name] = false, false
	c.join(t, name)
}

// look wakes those who have slept enough, and sees who has ended.
func (c *turmoil) look(t *testing.T) {
	t.Helper()
	for name, p := range c.pods {
		if at := c.wakes[name]; !at.IsZero() && time.Now().After(at) {
			p.signal(syscall.SIGCONT)
			delete(c.wakes, name)
		}
		if p.running() {
			continue
		}
		const tryAgain = 75 // the drain passed with a Flush unfinished
		code := p.cmd.ProcessState.ExitCode()
		if !c.told[name] || code != 0 && !(code == tryAgain && c.hampered[name]) {
			t.Fatalf("%s ended with code %d; it was told to: %t, frozen before: %t", name, code, c.told[name], c.hampered[name])
		}
		delete(c.pods, name)
	}
}

// risk counts what a worker that ends now leaves to be repeated: of each partition
// at most the span, which is what has not ended, and what ended since the commit.
func (c *turmoil) risk(t *testing.T, name string) {
	t.Helper()
	if c.told[name] { // it may end this moment, and says nothing any more
		c.atRisk += partitions * 2 * span
		return
	}
	s := c.pods[name].status(t)
	var ahead int64
	for i := range s.Strands {
		if q := &s.Strands[i].Queue; q.Position >= 0 {
			ahead += max(0, q.Position-q.Committed)
		}
	}
	if ahead > 0 {
		c.met++
	}
	c.ahead += ahead
	c.atRisk += ahead + int64(len(s.Strands))*span
}

// calm has every worker run, awake and with its share.
func (c *turmoil) calm(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, "nobody sleeps or stops", func() bool {
		c.look(t)
		for _, name := range crewNames {
			if c.pods[name] == nil {
				c.begin(t, name)
			}
			if c.told[name] || !c.wakes[name].IsZero() {
				return false
			}
		}
		return true
	})
	c.kafka.settled(t, len(crewNames))
}

// Workers join and leave, also several at a time, and then are killed and frozen
// too, all under load: nothing is lost, no committed offset goes back, and they end
// where the logs do. Nothing comes twice after leaving, and after the rest no more
// than may have been ahead of its commit.
func TestKafkaWorkersComeAndGo(t *testing.T) {
	t.Parallel()
	groups, lasts := size(2_000, 150_000), size(7*time.Second, 90*time.Second)
	r, k := newKafkaRig(t)
	k.session = 10 * time.Second // only who is frozen or dead misses it, however busy the machine is
	c := &turmoil{
		crew: newCrew(t, r, k, seed.New(t)),
		told: map[string]bool{}, hampered: map[string]bool{}, wakes: map[string]time.Time{},
	}
	load := r.load(50)
	load.Rate = size(400, 1700)
	unwatch := k.watchOffsets(t)
	phase := func(hurt bool, want func(*ledger.Verdict) bool) int {
		begin, from := time.Now(), r.journal.Tried()
		stop := r.producing(t, load)
		shown := func() bool { return c.left > 0 && (!hurt || c.killed > 0 && c.frozen > 0 && c.met > 0) }
		for end := begin.Add(lasts); time.Now().Before(end) || r.journal.Tried()-from < uint64(groups) || !shown(); pause(c.rng) {
			c.step(t, hurt)
		}
		stop()
		c.calm(t)
		k.drained(t, 2*time.Minute)
		t.Logf("%s: %d joined, %d left, %d killed, %d frozen", time.Since(begin).Round(time.Second), c.joined, c.left, c.killed, c.frozen)
		return r.judge(t, want)
	}
	phase(false, (*ledger.Verdict).Once)
	duplicates := phase(true, (*ledger.Verdict).Kept)
	bound := c.atRisk * int64(load.Logs)
	t.Logf("%d of the kills and freezes met messages ahead of their commits, %d in all: at one destination %d logs came twice, at most %d could",
		c.met, c.ahead, duplicates, bound)
	if int64(duplicates) > bound {
		t.Errorf("%d duplicates, at most %d could have been ahead of their commits", duplicates, bound)
	}
	unwatch()
	for _, name := range crewNames {
		c.leave(t, name)
	}
}
