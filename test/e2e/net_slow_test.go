//go:build unix

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/test/kafkabroker"
)

// A line that takes several times as long for what waits as the broker's patience.
const (
	slowRate   = 300_000 // bytes a second
	slowGroups = 200
	slowBytes  = 15_000 // of a log, and a group has one
	slowTakes  = slowGroups * slowBytes * time.Second / slowRate
)

// tooSlow has the worker begin before a backlog behind a line that is too narrow for
// it, until all of it has passed: the broker's patience must not run out with what is
// still on its way, or it would come again, behind what comes already.
func (p *netPlace) tooSlow(t *testing.T, drained func(within time.Duration)) {
	t.Helper()
	config := p.config(t, "w1", netWindow)
	p.setup(t, config)
	load := p.load(12)
	load.Logs, load.Groups, load.Bytes = 1, slowGroups, slowBytes
	p.produce(t, load)
	p.proxy.Set(faultproxy.ToClient, faultproxy.Fault{Rate: slowRate})
	began := time.Now()
	w := p.pod(t, "flushline", "w1", config)
	drained(2 * time.Minute)
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
	p := &netPlace{name: "nats too slow", all: n, rng: n.rand()}
	b := startBroker(t, false)
	p.proxy = faultproxy.New(t, strings.TrimPrefix(b.url, "nats://"), p.rand())
	p.rig = rigOn(t, &behind{b, p.proxy.Addr()})
	p.tooSlow(t, func(within time.Duration) { b.drained(t, within) })
}

func netKafkaSlow(t *testing.T, n *netRun) {
	p := &netPlace{name: "kafka too slow", all: n, rng: n.rand()}
	cluster := kafkabroker.Start(t, kafkabroker.Options{Advertise: func(_ int, listens string) string {
		p.proxy = faultproxy.New(t, listens, p.rand())
		return p.proxy.Addr()
	}})
	var k *kafka
	p.rig, k = kafkaRigOn(t, cluster)
	p.tooSlow(t, func(within time.Duration) { k.drained(t, within) })
}
