//go:build unix

package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/test/kafkabroker"
)

// netWindow is what a strand of these workers holds at most.
const netWindow = 500

// netNATS has the proxy between worker and server.
func netNATS(t *testing.T, n *netRun) {
	p := n.place("nats")
	p.beforeNATS(t, startBroker(t, false))
	p.suffers(t, netFaults, 0) // what was redelivered meanwhile is recognised
}

// netKafka has it between worker and broker.
func netKafka(t *testing.T, n *netRun) {
	p := n.place("kafka")
	p.beforeKafka(t, kafkabroker.Options{})
	p.kafka.span, p.kafka.commit, p.kafka.session = crashSpan, fmt.Sprintf("{messages: %d}", crashCommit), 12*time.Second
	p.suffers(t, netFaults, size(0, partitions*crashSpan+2*crashCommit)) // the session outlasts the short faults
}

// netHTTP has it between worker and the slow destination.
func netHTTP(t *testing.T, n *netRun) {
	p := n.place("http")
	p.rig = newRig(t, false)
	p.proxy = faultproxy.New(t, p.slow.server.Listener.Addr().String(), p.rand())
	p.slow.url = "http://" + p.proxy.Addr()
	p.suffers(t, netFaults, netWindow)
}

// place is one with nothing in it yet.
func (n *netRun) place(name string) *netPlace { return &netPlace{name: name, all: n, rng: n.rand()} }

// beforeNATS puts the proxy between workers and a server.
func (p *netPlace) beforeNATS(t *testing.T, b *broker) {
	t.Helper()
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	p.proxy = faultproxy.New(t, u.Host, p.rand())
	p.rig = rigOn(t, &behind{b, p.proxy.Addr()})
	p.broker = b
}

// behind is a server that workers reach through a proxy.
type behind struct {
	*broker
	proxy string
}

func (b *behind) source(string) string {
	if b.tls != nil {
		return natsSource("tls://"+b.proxy, b.durable, trusting(b.tls))
	}
	return natsSource("nats://"+b.proxy, b.durable, "")
}

// beforeKafka puts it between workers and a broker, which advertises its address.
func (p *netPlace) beforeKafka(t *testing.T, o kafkabroker.Options) {
	t.Helper()
	o.Advertise = func(_ int, listens string) string {
		p.proxy = faultproxy.New(t, listens, p.rand())
		return p.proxy.Addr()
	}
	p.rig, p.kafka = kafkaRigOn(t, kafkabroker.Start(t, o))
}

// suffers has a worker with load meet all faults, in an order that the seed says, and
// judges. each is how many messages one fault may bring twice.
func (p *netPlace) suffers(t *testing.T, list func() []netFault, each int) {
	t.Helper()
	w, stop := p.starts(t)
	if p.kafka != nil {
		p.kafka.settled(t, 1)
	}
	for range size(1, 3) {
		faults := list()
		p.rng.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for i := range faults {
			p.meets(t, &faults[i])
		}
	}
	stop()
	drainedRig(t, p.rig, p.kafka, p.patience(t))
	w.status(t)
	w.terminate(t)
	p.verdict(t, each)
}

// patience is how long what waits may take: a minute, and on Kafka, where a partition
// gets a span at a time and each span has groups that wait a second for their batch, twice
// that second for each span of the partition that is furthest behind. How many those are
// depends on how long all faults lasted, which is longer on a busy machine.
func (p *netPlace) patience(t *testing.T) time.Duration {
	t.Helper()
	if p.kafka == nil {
		return time.Minute
	}
	furthest := slices.Max(p.kafka.lags(t, p.kafka.group, p.kafka.topic))
	t.Logf("%s: the partition that is furthest behind has %d messages to go", p.name, furthest)
	return time.Minute + time.Duration(furthest)*2*time.Second/time.Duration(p.kafka.span)
}

// starts has a worker and load beside it.
func (p *netPlace) starts(t *testing.T) (w *pod, stop func()) {
	t.Helper()
	config := p.config(t, "w1", netWindow)
	p.setup(t, config)
	load := p.load(12)
	load.Logs, load.Rate = 1, 300 // a log a group, so that logs are messages
	stop = p.producing(t, load)
	return p.pod(t, "flushline", "w1", config), stop
}
