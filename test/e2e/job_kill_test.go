//go:build unix

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/seed"
)

// jobLease is for how long a killed process keeps its shard in NATS and Kafka.
const jobLease = 10 * time.Second

// killed kills the job so often at random moments of all its life, starts it again each
// time, and then lets it end: exactly the range arrives, and no more of it twice than the
// report says.
func (j *jobRig) killed(t *testing.T, kills int) killSum {
	t.Helper()
	rng := seed.New(t)
	total := j.expected(t)
	var delivering int
	for i := range kills {
		p := j.start(t, j.config, "--rate", "500/s")
		from := j.arrived()
		early := i > 0 && rng.IntN(5) == 0
		if early {
			j.waits(t, p, time.After(time.Duration(rng.Int64N(int64(j.lease)+int64(2*time.Second)))), total)
		} else {
			part := float64(total) / float64(kills+1)
			j.waits(t, p, nil, int64((float64(i)+rng.Float64())*part))
			j.waits(t, p, time.After(wandering(rng, part)), total)
		}
		if p.delivering() && j.arrived() > from {
			delivering++
		}
		p.kill()
		if code := p.ExitCode(); code != -1 {
			t.Fatalf("the job ended with %d before kill %d of %d", code, i+1, kills)
		}
		t.Logf("kill %d: %d of %d have arrived, %d since the start", i+1, j.arrived(), total, j.arrived()-from)
	}
	r := j.start(t, j.config).report(t, 0, 5*time.Minute)
	j.whole(t, r)
	if r.Killed > int64(kills) || r.Starts > int64(kills)+1 || r.Starts <= r.Killed {
		t.Errorf("the report says that %d of %d starts were killed; there were %d, and %d kills", r.Killed, r.Starts, kills+1, kills)
	}
	if delivering < (kills+1)/2 || r.Killed < int64(delivering) {
		t.Errorf("%d kills met a job that delivered, and the report has %d", delivering, r.Killed)
	}
	twice := j.judged(t)
	t.Logf("%d kills, %d of a job that delivered: %d groups came twice, the report says at most %d messages", kills, delivering, twice, r.Twice)
	j.again(t, r)
	sum := killSum{kills: kills, met: delivering, duplicates: int(twice), bound: j.mayRepeat(t, r, kills)}
	for _, v := range j.verdicts(t) {
		sum.confirmed += v.Confirmed
		sum.lost += v.Lost.Count
	}
	return sum
}

// mayRepeat is how many groups may come twice after so many kills: those of as many
// messages as the report says, and not one more often than there were kills.
func (j *jobRig) mayRepeat(t *testing.T, r *jobReport, kills int) int {
	t.Helper()
	all, _ := j.inRange(t)
	return int(min(r.Twice*j.packed, int64(kills)*all))
}

// waits returns when so many groups have arrived, the time is over, or the process
// has ended.
func (j *jobRig) waits(t *testing.T, p *jobRun, over <-chan time.Time, arrived int64) {
	t.Helper()
	eventually(t, 2*time.Minute, "the job goes on", func() bool {
		select {
		case <-over:
			return true
		default:
			return !p.running() || j.arrived() >= arrived
		}
	})
}

// wandering is a while in which half of a part arrives at most.
func wandering(rng *rand.Rand, part float64) time.Duration {
	most := min(300*time.Millisecond, time.Duration(part/2/500*float64(time.Second)))
	return time.Duration(rng.Int64N(int64(most)))
}
