//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
)

// oneOfTenSees has many workers of which one alone reaches the slow destination: the
// line of the others to it is broken. What they park is delivered by that one on NATS,
// whose pods share each lane; on Kafka a partition's owner serves it, so the rest waits
// until the line works again. The other destinations never notice.
func oneOfTenSees(t *testing.T, p *parkedRig) {
	workers := size(4, 10)
	proxy := faultproxy.New(t, strings.TrimPrefix(p.slow.url, "http://"), nil)
	direct := p.slow.url
	p.slow.url = "http://" + proxy.Addr()
	proxy.Break()
	var pods []*pod
	var configs []string
	for i := range workers {
		if i == workers-1 {
			p.slow.url = direct
		}
		configs = append(configs, p.config(t, fmt.Sprintf("w%d", i), 200))
	}
	p.setup(t, configs[0])
	for i, config := range configs {
		pods = append(pods, p.pod(t, "flushline", fmt.Sprintf("w%d", i), config))
	}
	for _, w := range pods {
		w.serves(t)
	}
	if p.kafka != nil {
		p.kafka.settled(t, workers)
	}
	load := p.few()
	load.Rate = 200
	stop := p.producing(t, load)
	p.parks(t, 50)
	p.flowsBeside(t, p.both, size(5, 50))
	stop()
	drainedRig(t, p.rig, p.kafka, time.Minute)
	upTo := p.journal.Tried()
	if p.kafka != nil {
		if p.left(t) == 0 {
			t.Error("nothing is parked: nothing was shown")
		}
		proxy.Heal()
		p.recovers(t, p.producing(t, load))
	} else { // the others go on parking their share of what comes
		stop = p.producing(t, load)
		p.catchesUp(t, project("slow"), upTo)
		stop()
		p.empties(t, 2*time.Minute)
	}
	for _, w := range pods {
		w.status(t)
		w.terminate(t)
	}
	p.once(t)
}

// workersChange has the only worker end, another one begin, and a third one join and
// leave, each while parked records are being delivered: a clean stop repeats nothing.
func workersChange(t *testing.T, p *parkedRig) {
	p.slow.delay, p.slow.more = 200*time.Millisecond, ", batch: {groups: 2}"
	config, second := p.config(t, "w1", 20), p.config(t, "w2", 20)
	p.setup(t, config)
	w := p.pod(t, "flushline", "w1", config)
	w.serves(t)
	p.slow.fails(refuses, nil)
	load := p.few()
	load = only(load, "slow")
	load.Groups = size(4000, 20_000)
	p.produce(t, load)
	drainedRig(t, p.rig, p.kafka, time.Minute)
	p.slow.recovers()
	begun := p.left(t)
	served := func(t *testing.T) {
		t.Helper()
		at := p.left(t)
		if at == 0 {
			t.Fatal("everything has been served already: nothing was shown")
		}
		eventually(t, time.Minute, "parked records are served", func() bool { return p.left(t) < at })
	}
	served(t)
	w.terminate(t)
	w = p.pod(t, "flushline", "w1", config)
	served(t)
	joined := p.pod(t, "flushline", "w2", second)
	joined.serves(t)
	if p.kafka != nil {
		p.kafka.settled(t, 2)
	}
	served(t)
	joined.terminate(t)
	served(t)
	p.empties(t, 2*time.Minute+time.Duration(begun)*time.Second/50) // a quarter of what the destination can take
	t.Logf("%d records were parked", begun)
	w.status(t)
	w.terminate(t)
	p.onceAt(t, "slow (http)", p.slow.dir, project("slow"))
	p.noDeadLetters(t)
	p.balanced(t)
}
