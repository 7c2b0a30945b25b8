//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/test/kafkabroker"
)

// A line that takes more than twice as long for what waits as the broker's patience.
const (
	slowRate   = 300_000 // bytes a second
	slowGroups = 300
	slowBytes  = 15_000 // of a log, and a group has one
	slowTakes  = slowGroups * slowBytes * time.Second / slowRate
)

// tooSlow has the worker begin before a backlog behind a line that is too narrow for
// it, until all of it has passed: the broker's patience must not run out with what is
// still on its way, or it would come again, behind what comes already.
func (p *netPlace) tooSlow(t *testing.T) {
	t.Helper()
	config := p.config(t, "w1", netWindow)
	p.setup(t, config)
	load := p.load(12)
	load.Logs, load.Groups, load.Bytes = 1, slowGroups, slowBytes
	p.produce(t, load)
	p.proxy.Set(faultproxy.ToClient, faultproxy.Fault{Rate: slowRate})
	began := time.Now()
	w := p.pod(t, "flushline", "w1", config)
	drainedRig(t, p.rig, p.kafka, 2*time.Minute)
	took := time.Since(began)
	met := p.proxy.Met(faultproxy.ToClient)
	t.Logf("%s: %d bytes of logs came as %d bytes in %s, with %v redeliveries", p.name, slowGroups*slowBytes, met.Slowed, took.Round(100*time.Millisecond), w.metric(t, "flushline_redelivered_total"))
	if took < slowTakes/2 {
		t.Errorf("the backlog came in %s: the line was not narrow, and nothing was shown", took)
	}
	w.status(t)
	w.terminate(t)
	p.all.mu.Lock()
	p.all.run.Fault(p.name+": narrow line, to the client", 1)
	p.all.run.AtMost(p.name+": passed for each byte of the backlog", float64(met.Slowed)/(slowGroups*slowBytes), 2, "bytes")
	p.all.mu.Unlock()
	p.verdict(t, 0)
}

func netNATSSlow(t *testing.T, n *netRun) {
	p := n.place("nats too slow")
	p.beforeNATS(t, startBroker(t, false))
	p.tooSlow(t)
}

func netKafkaSlow(t *testing.T, n *netRun) {
	p := n.place("kafka too slow")
	p.beforeKafka(t, kafkabroker.Options{})
	p.kafka.session = ackWait // as patient as NATS
	p.tooSlow(t)
}
