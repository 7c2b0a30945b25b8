//go:build unix

package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/protocol"
)

// A destination dies while routes park, and the worst happens beside it: nothing is
// lost, and only what a kill, a cut or a lost answer may repeat comes twice.
func TestParking(t *testing.T) {
	t.Parallel()
	all := &parkingRun{run: proof.Begin("parking",
		"A destination is dead and what waits for it is parked, while queues, workers, names and companions change: nothing is lost, and no record comes twice but of those that were just being parked when a topic filled.",
		size("make faults", "make e2e-long RUN=TestParking"))}
	t.Cleanup(func() { all.end(t) })
	slots := make(chan struct{}, 4) // each has workers, and most have a broker
	for _, fault := range parkingFaults {
		for _, queue := range []string{"nats", "kafka"} {
			if !long && !strings.Contains(fault.short, queue) {
				continue
			}
			t.Run(fault.name+"/"+queue, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				t.Cleanup(func() { <-slots })
				p := newParkedRig(t, queue)
				p.all = all
				fault.run(t, p)
				all.met(fault.name + ", on " + queueNames[queue])
			})
		}
	}
}

var queueNames = map[string]string{"nats": "NATS", "kafka": "Kafka"}

var parkingFaults = []struct {
	name  string
	run   func(*testing.T, *parkedRig)
	short string // the queues on which it is part of `make faults`
}{
	{"two dead lanes in one queue and one recovers", oneOfTwoRecovers, "nats"},
	{"one dead flusher of a fan-out", deadFlusherOfAFanOut, "kafka"},
	{"the companion is full", companionFull, ""},
	{"the companion is deleted and made again", companionDeleted, "nats"},
	{"a route or flusher is renamed", renamed, "nats"},
	{"a message of exactly the limit", messageOfTheLimit, "nats"},
	{"an outage longer than the retention of the source", outlivesRetention, "nats"},
	{"two deployments on one source", twoDeployments, ""},
	{"one worker of ten sees the destination", oneOfTenSees, ""},
	{"workers end and come while records are served", workersChange, "nats kafka"},
}

// parkingRun gathers what all faults showed.
type parkingRun struct {
	mu              sync.Mutex
	run             *proof.Run
	confirmed, lost int
	twice, mayTwice int
	slowest         time.Duration
}

func (r *parkingRun) met(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Fault(fault, 1)
}

func (r *parkingRun) end(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.AtLeast("logs that were confirmed, each at each of its destinations", float64(r.confirmed), 1, "logs")
	r.run.AtMost("lost", float64(r.lost), 0, "logs")
	r.run.AtMost("came twice", float64(r.twice), float64(r.mayTwice), "logs")
	r.run.AtMost("the longest that a healthy destination waited for a log meanwhile", r.slowest.Seconds(), beside.Seconds(), "s")
	r.run.End(t)
}

// beside is how long a log may take to a healthy destination while another one is dead;
// one that waited for the dead one would take as long as the outage.
const beside = 4 * time.Second

// onceAt judges one destination.
func (p *parkedRig) onceAt(t *testing.T, name, dir string, of ledger.Of) {
	t.Helper()
	p.all.count(p.judgeOne(t, name, dir, of, (*ledger.Verdict).Once))
}

func project(name string) ledger.Of { return func(k protocol.Key) bool { return k.Project == name } }

// once judges all destinations: everything has arrived, and nothing twice.
func (p *parkedRig) once(t *testing.T) {
	t.Helper()
	p.nearlyOnce(t, 0)
}

// nearlyOnce is once, but that so many logs may have come twice.
func (p *parkedRig) nearlyOnce(t *testing.T, twice int) {
	t.Helper()
	all := p.verdicts(t)
	if _, _, n := keptAll(t, all); n > twice {
		t.Errorf("%d logs came twice, at most %d may", n, twice)
	}
	for _, v := range all {
		p.all.count(v)
	}
	p.all.may(twice)
	p.noDeadLetters(t)
	p.balanced(t)
}

func (r *parkingRun) may(twice int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mayTwice += twice
}

func (r *parkingRun) count(v *ledger.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.confirmed += v.Confirmed
	r.lost += v.Lost.Count
	r.twice += v.Duplicates
}

// flowsBeside waits for logs of after now at a healthy destination, several times, and
// notes how long they took.
func (p *parkedRig) flowsBeside(t *testing.T, healthy *receiver, times int) {
	t.Helper()
	for range times {
		next, began := p.journal.Tried(), time.Now()
		eventually(t, time.Minute, "logs arrive beside the dead destination", func() bool { return healthy.newest.Load() >= next })
		took := time.Since(began)
		if took > beside {
			t.Errorf("a log took %s to a healthy destination beside a dead one, want at most %s", took, beside)
		}
		p.all.mu.Lock()
		p.all.slowest = max(p.all.slowest, took)
		p.all.mu.Unlock()
	}
}
