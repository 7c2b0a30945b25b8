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

// A replay is killed at random moments of all its life and started again each time:
// exactly the range arrives, and no more of it twice than the report says.
func TestJobReplayKilledNATS(t *testing.T) {
	t.Parallel()
	natsJob(t, size(3000, 20_000)).killed(t, size(3, 50))
}

// The same on Kafka, over aborted transactions and markers.
func TestJobReplayKilledKafka(t *testing.T) {
	t.Parallel()
	kafkaJob(t, size(3000, 20_000)).killed(t, size(3, 50))
}

// A backfill of files of all forms and compressions is killed in the same way.
func TestJobBackfillKilled(t *testing.T) {
	t.Parallel()
	fileJob(t, size(3000, 20_000)).killed(t, size(4, 50))
}

// killed kills the job so often, and then lets it end.
func (j *jobRig) killed(t *testing.T, kills int) {
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
	if twice > r.Twice*j.packed {
		t.Errorf("%d groups came twice, the report says at most %d messages of %d", twice, r.Twice, j.packed)
	}
	j.again(t, r)
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
