//go:build unix

package e2e

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/internal/seed"
)

// netBack is how long after a fault of the network new logs may take to arrive: the
// others of full size last longer than the brokers' patience, and what piled up
// meanwhile comes first.
var netBack = size(10*time.Second, 20*time.Second)

// The network before each broker and before a destination fails in each way that it
// can, under load: nothing is lost, made up or changed, what comes twice is within its
// bound, and logs flow again when the fault has ended. A fault that met no byte or
// connection fails the test.
func TestNetFaults(t *testing.T) {
	t.Parallel()
	n := &netRun{rng: seed.New(t), run: proof.Begin("net-faults",
		"The network before NATS, Kafka and an HTTP destination is slow, cut, silent in one direction, reset, half closed or changes bytes: nothing is lost and flow comes back.",
		"make "+size("faults RUN=TestNetFaults", "net-faults"))}
	t.Cleanup(func() { n.end(t) })
	for _, one := range []struct {
		name string
		run  func(*testing.T, *netRun)
	}{
		{"nats", netNATS},
		{"kafka", netKafka},
		{"http", netHTTP},
		{"nats over TLS", netNATSChanged},
		{"kafka over TLS", netKafkaChanged},
		{"http over TLS", netHTTPChanged},
		{"records of kafka", netRecordsChanged},
		{"payloads of nats", netPayloadsChanged},
		{"nats too slow", netNATSSlow},
		{"kafka too slow", netKafkaSlow},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			one.run(t, n)
		})
	}
}

// netRun gathers what all places showed.
type netRun struct {
	mu   sync.Mutex
	rng  *rand.Rand
	run  *proof.Run
	lost int
}

// rand is randomness of one place's own.
func (n *netRun) rand() *rand.Rand {
	n.mu.Lock()
	defer n.mu.Unlock()
	return rand.New(rand.NewPCG(n.rng.Uint64(), 0))
}

func (n *netRun) end(t *testing.T) {
	n.run.AtMost("lost", float64(n.lost), 0, "logs")
	n.run.End(t)
}

// netPlace is where a proxy stands, and what runs there.
type netPlace struct {
	*rig
	kafka   *kafka // of a place at Kafka
	name    string
	proxy   *faultproxy.Proxy
	all     *netRun
	rng     *rand.Rand
	hurts   int           // faults so far after which something may come twice
	slowest time.Duration // return of flow
}

// netFault is one way in which a network fails.
type netFault struct {
	name  string
	begin func(*netPlace) // it ends with Heal
	met   func(*faultproxy.Proxy) int64
	lasts time.Duration // from when it was met on
	flows bool          // meanwhile too
}

// way makes a fault of each of the two ways.
func way(name string, f func(*netPlace) faultproxy.Fault, met func(faultproxy.Met) int64, lasts time.Duration, flows bool) []netFault {
	var both []netFault
	for _, w := range []faultproxy.Way{faultproxy.ToServer, faultproxy.ToClient} {
		both = append(both, netFault{
			name:  name + ", " + w.String(),
			begin: func(p *netPlace) { p.proxy.Set(w, f(p)) },
			met:   func(p *faultproxy.Proxy) int64 { return met(p.Met(w)) },
			lasts: lasts, flows: flows,
		})
	}
	return both
}

// netFaults are all that are met in plain text; bytes that are changed have tests of
// their own.
func netFaults() []netFault {
	var all []netFault
	add := func(more ...netFault) { all = append(all, more...) }
	fixed := func(f faultproxy.Fault) func(*netPlace) faultproxy.Fault {
		return func(*netPlace) faultproxy.Fault { return f }
	}
	add(way("latency and jitter", fixed(faultproxy.Fault{Latency: 100 * time.Millisecond, Jitter: 100 * time.Millisecond}),
		func(m faultproxy.Met) int64 { return m.Delayed }, time.Second, true)...)
	add(way("narrow line", fixed(faultproxy.Fault{Rate: 40_000}),
		func(m faultproxy.Met) int64 { return m.Slowed }, time.Second, true)...)
	add(way("cut behind some bytes", func(p *netPlace) faultproxy.Fault {
		return faultproxy.Fault{CutAfter: 1 + p.rng.Int64N(2_000)}
	}, func(m faultproxy.Met) int64 { return m.Cut }, time.Second, false)...)
	add(way("held back", fixed(faultproxy.Fault{Hold: true}),
		func(m faultproxy.Met) int64 { return m.Held }, size(3*time.Second, 12*time.Second), false)...)
	add(way("blackhole", fixed(faultproxy.Fault{Drop: true}),
		func(m faultproxy.Met) int64 { return m.Dropped }, size(3*time.Second, 12*time.Second), false)...)
	for _, w := range []faultproxy.Way{faultproxy.ToServer, faultproxy.ToClient} {
		add(netFault{
			name:  "half closed, " + w.String(),
			begin: func(p *netPlace) { p.proxy.HalfClose(w) },
			met:   func(p *faultproxy.Proxy) int64 { return p.Met(w).HalfClosed },
			lasts: time.Second,
		})
	}
	add(netFault{
		name: "reset", begin: func(p *netPlace) { p.proxy.Reset() },
		met: (*faultproxy.Proxy).Resets,
	}, netFault{
		name: "refused", begin: func(p *netPlace) { p.proxy.Break() },
		met: (*faultproxy.Proxy).Resets, lasts: 3 * time.Second,
	})
	return all
}

// rand is randomness of the proxy's own.
func (p *netPlace) rand() *rand.Rand { return rand.New(rand.NewPCG(p.rng.Uint64(), 0)) }

// meets is one fault from its begin until logs flow again.
func (p *netPlace) meets(t *testing.T, f *netFault) {
	t.Helper()
	p.flows(t)
	before := f.met(p.proxy)
	f.begin(p)
	eventually(t, 30*time.Second, f.name+" meets something", func() bool { return f.met(p.proxy) > before })
	ends := time.After(f.lasts)
	if f.flows {
		p.flows(t)
	}
	<-ends
	p.proxy.Heal()
	took := p.flowsAgain(t, f.name+" has ended", time.Minute)
	t.Logf("%s: %s met %d; flow was back after %s", p.name, f.name, f.met(p.proxy)-before, took.Round(time.Millisecond))
	if took > netBack {
		t.Errorf("%s: flow was back %s after %s, want at most %s", p.name, took, f.name, netBack)
	}
	p.slowest = max(p.slowest, took)
	if !f.flows {
		p.hurts++
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.all.run.Fault(p.name+": "+f.name, 1)
}

// verdict judges all destinations and adds to the run what they showed. each is how
// many messages one fault may bring twice.
func (p *netPlace) verdict(t *testing.T, each int) {
	t.Helper()
	duplicates, twice := 0, each*p.hurts
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	for name, v := range p.verdicts(t) {
		if !v.Kept() {
			t.Errorf("%s did not get what it should", name)
		}
		p.all.lost += v.Lost.Count
		duplicates = max(duplicates, v.Duplicates)
	}
	p.noDeadLetters(t)
	p.balanced(t)
	if duplicates > twice {
		t.Errorf("%d logs came twice, at most %d may", duplicates, twice)
	}
	run := p.all.run
	run.AtMost(p.name+": duplicates at one destination", float64(duplicates), float64(twice), "logs")
	run.AtMost(p.name+": flow back after a fault", p.slowest.Seconds(), netBack.Seconds(), "s")
}
