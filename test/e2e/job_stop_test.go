//go:build unix

package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/seed"
)

// A job is stopped in its middle: it ends with 75 and the next start goes on; no log
// comes twice, and the report says so.
func TestJobStopped(t *testing.T) {
	t.Parallel()
	for name, rig := range jobRigs("kafka") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rig(t, size(2000, 10_000)).stopped(t, size(2, 20))
		})
	}
}

func (j *jobRig) stopped(t *testing.T, stops int) {
	t.Helper()
	rng := seed.New(t)
	total := j.expected(t)
	part := float64(total) / float64(stops+1)
	for i := range stops {
		p := j.start(t, j.config, "--rate", "500/s")
		eventually(t, time.Minute, "the job begins", func() bool { return p.delivering() || !p.running() })
		j.waits(t, p, nil, int64((float64(i)+rng.Float64())*part))
		j.waits(t, p, time.After(wandering(rng, part)), total)
		begin := time.Now()
		p.signal(syscall.SIGTERM)
		r := p.report(t, 75, j.drain+5*time.Second)
		t.Logf("stop %d took %s, %d of %d have arrived", i+1, time.Since(begin).Round(time.Millisecond), j.arrived(), total)
		if r.Finished || r.Complete || r.Starts != int64(i+1) {
			t.Errorf("stop %d reports %+v", i+1, r)
		}
	}
	r := j.start(t, j.config).report(t, 0, 2*time.Minute)
	if r.Killed != 0 || r.Twice != 0 || r.Starts != int64(stops+1) {
		t.Errorf("the report says that %d of %d starts were killed, and at most %d duplicates; there were %d stops", r.Killed, r.Starts, r.Twice, stops)
	}
	j.whole(t, r)
	if twice := j.judged(t); twice != 0 {
		t.Errorf("%d messages came twice", twice)
	}
	j.again(t, r)
}

// A destination stays down: the job gives up within the time it was given, says so,
// and goes on when it is started again.
func TestJobGivesUp(t *testing.T) {
	t.Parallel()
	const patience = 3 * time.Second
	j := natsJob(t, 600)
	up := j.slow.url
	j.slow.url = "http://127.0.0.1:1" // nobody listens there
	config := j.rig.config(t, "j1", 2000)
	j.slow.url = up

	begin := time.Now()
	p := j.start(t, config, "--give-up", patience.String())
	r := p.report(t, 75, time.Minute)
	took := time.Since(begin)
	if most := patience + j.drain + 5*time.Second; took < patience || took > most {
		t.Errorf("the job gave up after %s, want %s to %s", took, patience, most)
	}
	if !strings.Contains(p.Log(), "slow/http") {
		t.Errorf("the job does not say what it waited for:\n%s", p.Log())
	}
	if r.Finished || r.Messages == 0 {
		t.Errorf("the job that gave up reports %+v", r)
	}
	back := 600 - r.Messages // a Flush of these may have ended without an answer
	r = j.start(t, j.rig.config(t, "j1", 2000)).report(t, 0, time.Minute)
	j.whole(t, r)
	if r.Killed != 0 || r.Twice != back {
		t.Errorf("%d starts were killed, and at most %d duplicates, says the report; the job gave up with %d messages undelivered", r.Killed, r.Twice, back)
	}
	if twice := j.judged(t); twice != 0 {
		t.Errorf("%d messages came twice, of which none had been delivered", twice)
	}
}
