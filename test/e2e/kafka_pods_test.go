//go:build unix

package e2e

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
)

// crew is three workers on one group, some of them running.
type crew struct {
	rig     *rig
	kafka   *kafka
	rng     *rand.Rand
	configs map[string]string
	pods    map[string]*pod
	program string

	joined, left, killed, evicted int
	atRisk                        int64 // what kills and evictions may repeat, in messages
}

var crewNames = []string{"w1", "w2", "w3"}

func newCrew(t *testing.T, r *rig, k *kafka, rng *rand.Rand) *crew {
	t.Helper()
	c := &crew{rig: r, kafka: k, rng: rng, configs: map[string]string{}, pods: map[string]*pod{}, program: "flushline"}
	for _, name := range crewNames {
		c.configs[name] = r.config(t, name, 1000)
	}
	r.setup(t, c.configs[crewNames[0]])
	return c
}

func (c *crew) join(t *testing.T, name string) {
	t.Helper()
	c.pods[name] = c.rig.pod(t, c.program, name, c.configs[name])
	c.joined++
}

// all has every worker run and own its share.
func (c *crew) all(t *testing.T) {
	t.Helper()
	for _, name := range crewNames {
		if c.pods[name] == nil {
			c.join(t, name)
		}
	}
	c.kafka.settled(t, len(crewNames))
}

func (c *crew) leave(t *testing.T, name string) time.Duration {
	t.Helper()
	c.pods[name].address(t, "metrics") // it has begun
	took := c.pods[name].terminate(t)
	delete(c.pods, name)
	c.left++
	return took
}

// serves waits until the pod has strands.
func (p *pod) serves(t *testing.T) {
	t.Helper()
	eventually(t, 30*time.Second, p.name+" has partitions", func() bool { return len(p.status(t).Strands) > 0 })
}

// risk is what a worker that ends now leaves to be repeated: a partition's span at
// most, which covers what it holds and what ended since the last commit.
func (c *crew) risk(t *testing.T, p *pod) {
	t.Helper()
	s := p.status(t)
	var ahead int64
	for i := range s.Strands {
		q := &s.Strands[i].Queue
		if d := q.Position - q.Committed; d > span {
			t.Errorf("%s is %d messages ahead of its commit, the span is %d", s.Strands[i].Name, d, span)
		} else if q.Committed >= 0 {
			ahead += d
		}
	}
	t.Logf("%s: %d partitions, %d messages ahead of their commits", p.name, len(s.Strands), ahead)
	c.atRisk += int64(len(s.Strands)) * span
}

func (c *crew) kill(t *testing.T, name string) {
	t.Helper()
	c.risk(t, c.pods[name])
	c.pods[name].kill()
	delete(c.pods, name)
	c.killed++
}

// freeze stops a worker's clock, for less or more than the group waits for it.
func (c *crew) freeze(t *testing.T, name string) {
	t.Helper()
	p := c.pods[name]
	c.risk(t, p)
	p.signal(syscall.SIGSTOP)
	<-time.After(time.Duration(c.rng.Int64N(int64(2 * session))))
	p.signal(syscall.SIGCONT)
	c.evicted++
}

// Workers join and leave, then are killed and frozen too, under load: nothing is
// lost, the committed offsets end where the logs do; nothing comes twice after
// leaving, and no more than was ahead of its commit after the rest.
func TestKafkaWorkersComeAndGo(t *testing.T) {
	groups, lasts := size(3_000, 150_000), size(6*time.Second, 90*time.Second)
	rng := seeded(t)
	r, k := newKafkaRig(t)
	c := newCrew(t, r, k, rng)
	load := r.load(50)
	load.Rate = size(400, 1700)

	phase := func(hurt bool) int {
		stop := r.producing(t, load)
		begin := r.journal.Tried()
		for end := time.Now().Add(lasts); time.Now().Before(end) || r.journal.Tried()-begin < uint64(groups); pause(rng) {
			name := crewNames[rng.IntN(len(crewNames))]
			switch what := rng.IntN(3); {
			case c.pods[name] == nil:
				c.join(t, name)
			case !hurt && what > 0: // stays
			case what == 0:
				c.leave(t, name)
			case what == 1:
				c.freeze(t, name)
			default:
				c.kill(t, name)
			}
		}
		stop()
		c.all(t)
		k.drained(t, 2*time.Minute)
		if !hurt {
			return r.judge(t, (*ledger.Verdict).Once)
		}
		return r.judge(t, (*ledger.Verdict).Kept)
	}
	if phase(false); c.left == 0 {
		t.Error("no worker left: nothing was shown")
	}
	t.Logf("%d joined, %d left: no duplicates", c.joined, c.left)
	duplicates := phase(true)
	if c.killed+c.evicted == 0 {
		t.Error("no worker was killed or frozen: nothing was shown")
	}
	bound := c.atRisk * int64(load.Logs)
	t.Logf("%d joined, %d left, %d killed, %d frozen: %d duplicates at one destination, at most %d", c.joined, c.left, c.killed, c.evicted, duplicates, bound)
	if int64(duplicates) > bound {
		t.Errorf("%d duplicates, at most %d could be ahead of their commits", duplicates, bound)
	}
	for _, name := range crewNames {
		c.leave(t, name)
	}
}
