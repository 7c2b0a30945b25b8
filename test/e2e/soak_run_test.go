//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
)

const (
	soakRate   = 80   // LogGroups a second and queue
	soakWindow = 4000 // so that no tenant that hangs fills it

	soakHeld = 64                        // MiB of messages as received
	soakWork = 16                        // MiB of decoded data
	soakMiB  = soakHeld + soakWork + 64. // what a worker may take for it, as it tells its collector
)

// soak is the load on one queue and all that happens meanwhile.
type soak struct {
	*rig
	queue soaked
	name  string
	rng   *rand.Rand
	x     *tenants
	lasts time.Duration

	steady *watched // without the race detector; runs from the beginning to the end
	second *second  // with it; is stopped and killed
	before map[string]rest
	after  map[string]sample

	begin, end time.Time // of the load
	events     []*event
	later      []delayed
	hanging    bool // a destination
	sticking   bool // a Flush
	waiting    bool // for one that is not ready
	faults     map[string]int
	asked      int64     // reloads, of the steady one
	atRisk     int64     // messages that a death may have had delivered again
	flowed     time.Time // when something arrived at the healthy tenants
	arrived    int64     // there
	reports    time.Time // when the next line is due

	verdicts map[string]*ledger.Verdict
	logs     int // that were confirmed
	twice    int
	unsure   int
	judged   bool
}

func newSoak(t *testing.T, name string, lasts time.Duration) *soak {
	t.Helper()
	r, q := soakQueue(t, name)
	r.limits = fmt.Sprintf(", lane_idle: 3s, in_flight: %dMiB, work: %dMiB", soakHeld, soakWork)
	r.scraper.Every = 500 * time.Millisecond
	s := &soak{
		rig: r, queue: q, name: name, rng: seed.New(t), lasts: lasts,
		before: map[string]rest{}, after: map[string]sample{}, faults: map[string]int{}, verdicts: map[string]*ledger.Verdict{},
	}
	s.x = newTenants(t, r, s.rng)
	for _, of := range []string{tenantUnready, tenantStuck} {
		open(t, s.x.gate(of))
	}
	return s
}

// file writes the newest version of a pod's configuration.
func (s *soak) file(t *testing.T, pod string) string {
	t.Helper()
	return s.write(t, pod, soakWindow, s.x.routes(pod, s.rng))
}

func (s *soak) run(t *testing.T) {
	t.Helper()
	config := s.file(t, "w1")
	s.setup(t, config)
	s.steady = watch(t, s.pod(t, "plain", "w1", config))
	s.second = &second{}
	s.startSecond(t)
	s.settle(t)
	now := time.Now()
	s.before["w1"], s.before["w2"] = s.steady.atRest(t, now), s.second.atRest(t, now)

	stop := s.producing(t, ledger.Load{Run: s.rig.run, Keys: s.x.keys(), Logs: 2, Rate: soakRate, Start: time.Now()})
	s.begin = time.Now()
	s.flowed, s.reports = s.begin, s.begin
	s.x.flaps.flap(true)
	s.plan()
	for limit := s.begin.Add(s.lasts + 2*time.Minute); !s.done(t, limit); {
		s.step(t)
		<-time.After(100 * time.Millisecond)
	}
	s.end = time.Now()
	s.heal(t)
	stop()
	s.queue.drained(t, 3*time.Minute)
	s.line(t, "all is settled")
	now = time.Now()
	s.after["w1"] = s.steady.backAt(t, now, s.before["w1"], restMiB)
	s.after["w2"] = s.second.backAt(t, now, s.before["w2"], restRaceMiB)
	s.reloaded(t)
	for _, p := range []*watched{s.steady, s.second.watched} {
		p.status(t)
		p.terminate(t)
	}
	s.judge(t)
}

// settle waits until both pods have their share.
func (s *soak) settle(t *testing.T) {
	t.Helper()
	s.queue.together(t, 2)
	s.steady.serves(t)
	s.second.serves(t)
}

// done says that the time is over and every kind of fault was seen; a kind that was not
// fails the test, after a while.
func (s *soak) done(t *testing.T, limit time.Time) bool {
	t.Helper()
	if time.Since(s.begin) < s.lasts {
		return false
	}
	s.count()
	var missing []string
	for _, kind := range s.kinds() {
		if s.faults[kind] == 0 {
			missing = append(missing, kind)
		}
	}
	if len(missing) > 0 && time.Now().After(limit) {
		t.Errorf("was not seen to happen: %q", missing)
		return true
	}
	return len(missing) == 0
}

// heal ends what lasts and has both workers run.
func (s *soak) heal(t *testing.T) {
	t.Helper()
	s.line(t, "the load ends")
	s.events = nil
	for _, d := range s.later {
		d.do(t)
	}
	s.later = nil
	s.x.flaps.flap(false)
	eventually(t, time.Minute, "both workers run", func() bool {
		s.look(t)
		return s.second.up()
	})
	s.settle(t)
}

// gone removes a file that stands for a wish.
func gone(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
