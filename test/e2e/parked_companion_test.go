//go:build unix

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func (b *broker) change(t *testing.T, stream string, how func(*jetstream.StreamConfig)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	how(&c)
	if _, err := b.js.UpdateStream(ctx, c); err != nil {
		t.Fatal(err)
	}
}

// companionDeleted has somebody delete the companion with what is in it, under a running
// worker. That is lost, and nothing else: not what comes meanwhile, and not what comes
// when it is there again.
func companionDeleted(t *testing.T, p *parkedRig) {
	config := p.config(t, "w1", 300)
	p.setup(t, config)
	w := p.pod(t, "flushline", "w1", config)
	w.serves(t)
	p.slow.fails(refuses, nil)
	gone := p.few()
	gone = only(gone, "slow")
	gone.Groups = size(200, 2000)
	p.produce(t, gone)
	drainedRig(t, p.rig, p.kafka, time.Minute)
	if n := p.left(t); n != int64(gone.Groups) {
		t.Fatalf("%d records are parked, want all %d", n, gone.Groups)
	}
	p.deleteCompanion(t)
	first := p.journal.Tried()
	p.within = func(group uint64) bool { return group >= first }

	load := p.few()
	load.Rate = 100
	stop := p.producing(t, load)
	p.flowsBeside(t, p.both, 3)
	if p.kafka == nil {
		p.setup(t, config)
	}
	p.parks(t, size[int64](100, 1000))
	p.flowsBeside(t, p.both, size(5, 50))
	p.recovers(t, stop)
	w.status(t)
	w.terminate(t)
	p.once(t)
}

func (p *parkedRig) deleteCompanion(t *testing.T) {
	t.Helper()
	if p.kafka != nil {
		p.kafka.cluster.DeleteTopic(t, p.kafka.parkedTopic("slow.http"))
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.broker.js.DeleteStream(ctx, p.broker.companion()); err != nil {
		t.Fatal(err)
	}
}

// outlivesRetention has the source lose what was acknowledged, all of which is parked.
func outlivesRetention(t *testing.T, p *parkedRig) {
	config := p.config(t, "w1", 500)
	p.setup(t, config)
	w := p.pod(t, "flushline", "w1", config)
	w.serves(t)
	p.slow.fails(refuses, nil)
	load := p.few()
	load.Groups = size(600, 6000)
	p.produce(t, load)
	drainedRig(t, p.rig, p.kafka, time.Minute)
	if p.kafka != nil {
		for partition, end := range p.kafka.cluster.Ends(t, p.kafka.topic) {
			p.kafka.cluster.DeleteRecords(t, p.kafka.topic, partition, end)
		}
	} else {
		p.broker.change(t, streamName, func(c *jetstream.StreamConfig) { c.MaxAge = time.Second; c.Duplicates = time.Second })
		eventually(t, time.Minute, "the source has nothing any more", func() bool { return p.broker.messages(t, streamName) == 0 })
		p.broker.change(t, streamName, func(c *jetstream.StreamConfig) { c.MaxAge = 0 })
	}
	if n := p.left(t); n != int64(load.Groups)/3 {
		t.Errorf("%d records are parked, want a third of %d", n, load.Groups)
	}
	load.Groups, load.Rate = 0, 100
	p.recovers(t, p.producing(t, load))
	w.status(t)
	w.terminate(t)
	p.once(t)
}

func (b *broker) messages(t *testing.T, stream string) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}
