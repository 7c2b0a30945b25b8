//go:build unix

package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// renamed has a route change its name while records are parked for it, by a restart on
// Kafka and by a reload on NATS; at full size its flusher does then, the other way. The
// records stay, the log says so, and `flushline parked move` has them delivered.
func renamed(t *testing.T, p *parkedRig) {
	p.limits = "}\nremoved: park\nreload: {watch: false"
	config := p.config(t, "w1", 500)
	p.setup(t, config)
	w := p.pod(t, "flushline", "w1", config)
	load := p.few()
	load.Rate = 200
	old := queue.Lane{Route: "slow", Flusher: "http"}
	for round := range size(1, 2) {
		stop := p.producing(t, load)
		p.dies(t, refuses, nil)
		p.parks(t, 200)
		stop()
		now := rename(t, config, old, round)
		p.entries = append(p.entries, now.Route+"."+now.Flusher)
		if (p.kafka == nil) == (round == 0) {
			w.signal(syscall.SIGHUP)
			eventually(t, time.Minute, "the reload", func() bool { return w.status(t).Config.Reloads > 0 })
		} else {
			w.terminate(t)
			p.setup(t, config)
			w = p.pod(t, "flushline", "w1", config)
		}
		drainedRig(t, p.rig, p.kafka, time.Minute)
		p.slow.recovers()
		eventually(t, time.Minute, "the log says that nobody has that name", func() bool {
			return strings.Contains(w.Log(), "this configuration does not have")
		})
		at := p.leftFor(t, old)
		if at == 0 {
			t.Fatal("nothing is parked for the old name: nothing was shown")
		}
		beside := p.few()
		beside.Groups = 300
		p.produce(t, beside)
		drainedRig(t, p.rig, p.kafka, time.Minute)
		if n := p.leftFor(t, old); n != at {
			t.Errorf("%d records were parked for the old name, now %d are", at, n)
		}
		if p.kafka != nil { // what a group serves cannot be moved beside it
			w.terminate(t)
		}
		t.Log(flushline(t, "parked", "move", "-c", config, "--route", old.Route, "--flusher", old.Flusher, "--to", now.Route+"/"+now.Flusher))
		if p.kafka != nil {
			w = p.pod(t, "flushline", "w1", config)
		}
		p.empties(t, 90*time.Second)
		old = now
	}
	w.status(t)
	w.terminate(t)
	p.once(t)
}

// leftFor is how many records are parked for a flusher of a route.
func (p *parkedRig) leftFor(t *testing.T, of queue.Lane) int64 {
	t.Helper()
	entry := of.Route + "." + of.Flusher
	if p.kafka == nil {
		return p.broker.parked(t, entry)
	}
	return p.kafka.lagOf(t, p.kafka.group+".parked", p.kafka.parkedTopic(entry))
}

// rename gives the route another name in the first round, and its flusher in the second.
func rename(t *testing.T, config string, old queue.Lane, round int) queue.Lane {
	t.Helper()
	now, from, to := old, "- name: "+old.Route+"\n", "- name: store\n"
	if now.Route = "store"; round > 0 {
		from, to = "- {type: http, url:", "- {type: http, name: web, url:" // the first of them
		now.Flusher = "web"
	}
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), from, to, 1)
	if changed == string(text) {
		t.Fatalf("there is no %q in\n%s", from, text)
	}
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return now
}

// twoDeployments has two of them read the same messages, each with destinations of its
// own. While those of one are dead, the other one's get everything once and nothing of
// what the first has parked; then the other way round.
func twoDeployments(t *testing.T, p *parkedRig) {
	other := p.another(t)
	ours, theirs := p.config(t, "w1", 500), other.config(t, "w2", 500)
	p.setup(t, ours)
	other.setup(t, theirs)
	w1, w2 := p.pod(t, "flushline", "w1", ours), other.pod(t, "flushline", "w2", theirs)
	load := p.few()
	load.Groups = size(600, 6000)
	for _, dead := range []*parkedRig{p, other} {
		well := other
		if dead == other {
			well = p
		}
		dead.slow.fails(refuses, nil)
		p.produce(t, load)
		drainedRig(t, dead.rig, dead.kafka, time.Minute)
		drainedRig(t, well.rig, well.kafka, time.Minute)
		if n := dead.leftFor(t, queue.Lane{Route: "slow", Flusher: "http"}); n != int64(load.Groups)/3 {
			t.Errorf("%d records are parked for the dead destination, want a third of %d", n, load.Groups)
		}
		eventually(t, time.Minute, "nothing of the other deployment is parked", func() bool { return well.left(t) == 0 })
		well.onceAt(t, "slow, of the one that is well", well.slow.dir, project("slow"))
		more := load
		more.Groups, more.Rate = 0, 100
		dead.recovers(t, p.producing(t, more))
		well.empties(t, time.Minute)
	}
	for _, d := range []*parkedRig{p, other} {
		d.onceAt(t, "slow", d.slow.dir, project("slow"))
		d.onceAt(t, "both (http)", d.both.dir, project("both"))
		d.onceAt(t, "both (file)", d.dir+"/both", project("both"))
		d.onceAt(t, "waits (file)", d.dir+"/waits", project("waits"))
	}
	w1.status(t)
	w2.status(t)
	w1.terminate(t)
	w2.terminate(t)
}

// another is a second deployment that reads what p reads.
func (p *parkedRig) another(t *testing.T) *parkedRig {
	t.Helper()
	o := &parkedRig{all: p.all, entries: p.entries}
	if p.kafka != nil {
		k := p.kafka
		o.kafka = &kafka{cluster: k.cluster, topic: k.topic, group: k.group + "-other", span: k.span, session: k.session, rebalance: k.rebalance, client: k.client}
		o.rig = rigOn(t, o.kafka)
	} else {
		b := *p.broker
		b.durable = "other"
		o.rig = rigOn(t, &b)
		o.broker = &b
	}
	o.path, o.blocked = p.path, p.blocked
	return o
}
