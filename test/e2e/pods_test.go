//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Three workers share one durable and one is never ready: the other two go on as
// if they were alone. Rates are bound by the destination, so that a busy machine
// does not decide, and are taken with and without the third in turn.
func TestABlockedWorkerDoesNotSlowTheOthers(t *testing.T) {
	const window = 1000
	phase := size(2*time.Second, 10*time.Second)
	r := newRig(t, false)
	r.drain = 2 * time.Second // a worker that is never ready takes all of it
	// Ten lanes, three groups each tenth of a second: 300 groups a second and worker.
	r.slow.delay = 100 * time.Millisecond
	good := func(name string) string {
		return r.write(t, name, window/10, fmt.Sprintf(`
  - name: all
    flushers:
      - {type: http, url: %q, batch: {groups: 3}, flush_timeout: 2s}
`, r.slow.url))
	}
	never := r.write(t, "never", window, fmt.Sprintf(`
  - name: all
    flushers:
      - {type: gated, path: "%[1]s/never", gate: "%[1]s/no-such-file", flush_timeout: 2s}
`, r.dir))
	r.setup(t, never)
	load := r.load(10)
	load.Groups = size(20_000, 60_000)
	r.produce(t, load)

	one := r.pod(t, "flushline", "w1", good("w1"))
	two := r.pod(t, "flushline", "w2", good("w2"))
	seen := r.slow.logs.Load()
	eventually(t, time.Minute, "logs flow", func() bool { return r.slow.logs.Load() > seen+1000 })
	var alone, beside float64
	for range 2 {
		alone += r.rate(phase)
		third := r.pod(t, "program", "never", never)
		eventually(t, time.Minute, "the third holds its window", func() bool { return third.full(t, window) })
		beside += r.rate(phase)
		third.terminate(t)
	}
	t.Logf("two alone %.0f logs/s, beside the third %.0f logs/s", alone/2, beside/2)
	if r.broker.consumer(t).NumPending == 0 {
		t.Fatal("the queue ran empty: the rates say nothing")
	}
	if beside < 0.9*alone {
		t.Errorf("beside a worker that is never ready the others keep %.0f %%, want at least 90 %%", 100*beside/alone)
	}
	if n := lines(t, r.dir+"/never"); n > 0 {
		t.Errorf("the worker that is never ready flushed %d logs", n)
	}
	one.terminate(t)
	two.terminate(t)
}

// rate is how many logs a second arrive.
func (r *rig) rate(over time.Duration) float64 {
	begin, from := time.Now(), r.slow.logs.Load()
	<-time.After(over)
	return float64(r.slow.logs.Load()-from) / time.Since(begin).Seconds()
}

func pause(rng *rand.Rand) {
	<-time.After(time.Duration(200+rng.IntN(1000)) * time.Millisecond)
}
