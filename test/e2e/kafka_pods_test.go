//go:build unix

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"
)

// crew is three workers on one group, some of them running.
type crew struct {
	rig     *rig
	kafka   *kafka
	rng     *rand.Rand
	configs map[string]string
	pods    map[string]*pod
	program string

	joined, left int
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

// held is how many messages the pod holds.
func (p *pod) held(t *testing.T) int64 {
	t.Helper()
	var n int64
	s := p.status(t)
	for i := range s.Strands {
		n += s.Strands[i].Held
	}
	return n
}
