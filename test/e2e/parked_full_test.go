//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/test/kafkabroker"
)

// companionFull has the companion take nothing for a while: nothing is acknowledged that
// it did not take, and all goes on when it has room.
func companionFull(t *testing.T, p *parkedRig) {
	const window = 100 // of a strand
	twice := 0
	if p.kafka != nil {
		twice = partitions * window
		p.rig, p.kafka = kafkaRigOn(t, kafkabroker.Start(t, kafkabroker.Options{Nodes: 3}))
		p.kafka.session, p.blocked = 12*time.Second, parksSoon
	}
	config := p.config(t, "w1", window)
	p.setup(t, config)
	load := p.few()
	load.Rate = 300
	stop := p.producing(t, load)
	w := p.pod(t, "flushline", "w1", config)
	p.flowsBeside(t, p.both, 1)
	if p.kafka != nil {
		p.kafka.cluster.Node(3).Stop(t)
		p.flowsBeside(t, p.both, 3)
	}
	p.dies(t, refuses, nil)
	p.parks(t, 50)
	p.fills(t)
	p.holdsUp(t, w)
	at := p.left(t)
	p.hasRoom(t)
	p.parks(t, at+window)
	p.recovers(t, stop)
	w.status(t)
	w.terminate(t)
	p.nearlyOnce(t, twice)
}

// fills has the companion of the slow destination take nothing more. A stream is full when
// it holds what it may. A topic never is: what fills is the disk of a broker, which ends by
// that, and the topic takes nothing while fewer brokers are left than its
// min.insync.replicas asks for. One of three has ended, so it asks for three. Of what was
// just being parked the leader may have stored some, and says that it is too few copies:
// that is parked again.
func (p *parkedRig) fills(t *testing.T) {
	t.Helper()
	if p.kafka == nil {
		p.broker.limit(t, 50)
		return
	}
	p.kafka.cluster.SetTopic(t, p.kafka.parkedTopic("slow.http"), map[string]string{"min.insync.replicas": "3"})
}

func (p *parkedRig) hasRoom(t *testing.T) {
	t.Helper()
	if p.kafka == nil {
		p.broker.limit(t, -1)
		return
	}
	p.kafka.heals(t, 3)
}

// limit sets how many messages the companion may hold; -1: any number.
func (b *broker) limit(t *testing.T, messages int64) {
	t.Helper()
	b.change(t, b.companion(), func(c *jetstream.StreamConfig) { c.MaxMsgs = messages })
}

// holdsUp waits until every strand of the source holds as much as it may.
func (p *parkedRig) holdsUp(t *testing.T, w *pod) {
	t.Helper()
	eventually(t, time.Minute, "the worker holds what it cannot park", func() bool {
		strands := 0
		s := w.status(t)
		for i := range s.Strands {
			switch st := &s.Strands[i]; {
			case st.Source != p.name():
			case st.State != "window_full":
				return false
			default:
				strands++
			}
		}
		return strands > 0
	})
}

func (p *parkedRig) name() string {
	if p.kafka != nil {
		return "kafka"
	}
	return "nats"
}
