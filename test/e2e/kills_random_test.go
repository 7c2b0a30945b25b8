//go:build unix

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/internal/seed"
)

// Workers on NATS and on Kafka, and jobs, are killed at random moments of all their
// lives, as fast as they come to hold messages: nothing is lost, and no more comes twice
// than is promised. Some workers are told to end instead, in between.
func TestKillsRandom(t *testing.T) {
	t.Parallel()
	total, command := killTotal(t, 40)
	job := max(2, total/20)
	live := (total - 4*job + 1) / 2
	run := proof.Begin("kills-random", "Workers and jobs that are killed at random moments lose no message, and no more comes twice than is promised.", command)
	var sums killSums
	t.Run("all", func(t *testing.T) {
		for part, kill := range map[string]func(*testing.T) killSum{
			"nats":       func(t *testing.T) killSum { return killWorkers(t, "nats", live) },
			"kafka":      func(t *testing.T) killSum { return killWorkers(t, "kafka", live) },
			"nats-job":   func(t *testing.T) killSum { return natsJob(t, jobGroups(job)).killed(t, job) },
			"kafka-job":  func(t *testing.T) killSum { return kafkaJob(t, jobGroups(job)).killed(t, job) },
			"files-job":  func(t *testing.T) killSum { return fileJob(t, jobGroups(job)).killed(t, job) },
			"files-job2": func(t *testing.T) killSum { return fileJob(t, jobGroups(job)).killed(t, job) },
		} {
			t.Run(part, func(t *testing.T) {
				t.Parallel()
				sums.add(t, part, kill(t))
			})
		}
	})
	sums.judge(t, run, total)
	met := float64(sums.whole.met) / float64(max(sums.whole.kills, 1))
	run.AtLeast("kills that met messages in hand", met, 0.5, "")
	if met < 0.5 {
		t.Errorf("%d of %d kills met messages in hand: too little was shown", sums.whole.met, sums.whole.kills)
	}
	run.Note("Random kills seldom hit the moments that matter; see kills-placed for those.")
	run.End(t)
}

// jobGroups is a load that lasts for so many kills.
func jobGroups(kills int) int { return 1500 + 400*kills }

// doomed is a worker that will be killed.
type doomed struct {
	*pod
	config string
	early  bool      // perhaps before it has begun
	at     time.Time // zero: once it holds messages
	held   bool
}

// killWorkers kills three workers of one deployment under load, each for itself, until
// there were so many kills.
func killWorkers(t *testing.T, queue string, kills int) (sum killSum) {
	t.Helper()
	rng := seed.New(t)
	r, k := boundedRig(t, queue)
	workers := map[string]*doomed{}
	for _, name := range crewNames {
		workers[name] = &doomed{config: r.config(t, name, crashWindow)}
	}
	r.setup(t, workers[crewNames[0]].config)
	load := r.load(30)
	load.Logs, load.Rate = 1, map[string]int{"nats": 150, "kafka": 60}[queue] // what workers manage that live for a few seconds
	stop := r.producing(t, load)
	var left int
	last := time.Now()
	for sum.kills < kills {
		for name, d := range workers {
			switch {
			case d.pod == nil:
				d.pod, d.held, d.early, d.at = r.pod(t, "flushline", name, d.config), false, rng.IntN(5) == 0, time.Time{}
				if d.early {
					d.at = time.Now().Add(moment(rng, time.Second))
				}
			case !d.running():
				t.Fatalf("%s ended by itself with %d", name, d.ExitCode())
			case d.at.IsZero() && d.said("admin") != "" && d.pod.held(t) > 0:
				d.at = time.Now().Add(moment(rng, 300*time.Millisecond))
			case d.at.IsZero() || time.Now().Before(d.at):
			case !d.early && rng.IntN(10) == 0:
				d.terminate(t)
				d.pod = nil
				left++
			default:
				if !d.early && d.pod.held(t) > 0 {
					sum.met++
				}
				d.kill()
				d.pod = nil
				sum.kills++
				last = time.Now()
			}
		}
		if time.Since(last) > time.Minute {
			t.Fatalf("no worker came to hold messages for a minute, after %d kills", sum.kills)
		}
		<-time.After(25 * time.Millisecond) // of looking, not of waiting for anything
	}
	stop()
	t.Logf("%d were told to end in between", left)
	for name, d := range workers {
		if d.pod == nil {
			d.pod = r.pod(t, "flushline", name, d.config)
		}
	}
	drainedRig(t, r, k, 5*time.Minute)
	for _, d := range workers {
		d.status(t)
		d.terminate(t)
	}
	sum.confirmed, sum.lost, sum.duplicates = keptAll(t, r.verdicts(t))
	sum.bound = sum.kills * killRepeats(queue)
	r.noDeadLetters(t)
	r.balanced(t)
	return sum
}

// moment is a random time below most.
func moment(rng *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(most)))
}
