//go:build unix

package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/test/kafkabroker"
)

// netWindow is what a strand of these workers holds at most.
const netWindow = 500

// netNATS has the proxy between worker and server.
func netNATS(t *testing.T, n *netRun) {
	b := startBroker(t, false)
	p := &netPlace{name: "nats", all: n, rng: n.rand()}
	p.proxy = faultproxy.New(t, strings.TrimPrefix(b.url, "nats://"), p.rand())
	p.rig = rigOn(t, &behind{b, p.proxy.Addr()})
	w, stop := p.starts(t)
	p.suffers(t, netFaults, stop)
	b.drained(t, time.Minute)
	w.status(t)
	w.terminate(t)
	p.verdict(t, 0) // what was redelivered meanwhile is recognised
}

// behind is a server that workers reach through a proxy.
type behind struct {
	*broker
	proxy string
}

func (b *behind) source(string) string {
	if b.tls != nil {
		return natsSource("tls://"+b.proxy, trusting(b.tls))
	}
	return natsSource("nats://"+b.proxy, "")
}

// netKafka has it between worker and broker, which advertises its address.
func netKafka(t *testing.T, n *netRun) {
	p := &netPlace{name: "kafka", all: n, rng: n.rand()}
	cluster := kafkabroker.Start(t, kafkabroker.Options{Advertise: func(_ int, listens string) string {
		p.proxy = faultproxy.New(t, listens, p.rand())
		return p.proxy.Addr()
	}})
	var k *kafka
	p.rig, k = kafkaRigOn(t, cluster)
	k.span, k.commit, k.session = crashSpan, fmt.Sprintf("{messages: %d}", crashCommit), 12*time.Second
	w, stop := p.starts(t)
	k.settled(t, 1)
	p.suffers(t, netFaults, stop)
	k.drained(t, time.Minute)
	w.status(t)
	w.terminate(t)
	p.verdict(t, size(0, partitions*crashSpan+2*crashCommit)) // the session outlasts the short faults
}

// netHTTP has it between worker and the slow destination.
func netHTTP(t *testing.T, n *netRun) {
	p := &netPlace{name: "http", all: n, rng: n.rand()}
	p.rig = newRig(t, false)
	u, err := url.Parse(p.slow.url)
	if err != nil {
		t.Fatal(err)
	}
	p.proxy = faultproxy.New(t, u.Host, p.rand())
	p.slow.url = "http://" + p.proxy.Addr()
	w, stop := p.starts(t)
	p.suffers(t, netFaults, stop)
	p.broker.drained(t, time.Minute)
	w.status(t)
	w.terminate(t)
	p.verdict(t, netWindow)
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
