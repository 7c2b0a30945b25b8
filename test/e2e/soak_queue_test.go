//go:build linux

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/test/kafkabroker"
)

// soaked is what a soak needs of a queue beside what every rig does.
type soaked interface {
	queued
	halt(t *testing.T)  // ends the broker in order
	crash(t *testing.T) // kills it
	start(t *testing.T) // starts it again
	drained(t *testing.T, within time.Duration)
	// unsettled is how many messages the broker does not know to have ended: what it
	// delivers again if nobody holds them any more.
	unsettled(t *testing.T) int64
	together(t *testing.T, pods int) // waits until all have their share
}

// soakSession is one that outlasts a restart of the broker, which counts it while it
// does not answer yet.
const soakSession = 12 * time.Second

// soakQueue makes the rig of one queue, on a broker of its own.
func soakQueue(t *testing.T, name string) (*rig, soaked) {
	t.Helper()
	if name == "kafka" {
		r, k := kafkaRigOn(t, kafkabroker.Start(t, kafkabroker.Options{}))
		k.session = soakSession
		return r, soakedKafka{k}
	}
	r := newRig(t, true)
	return r, r.broker
}

func (b *broker) unsettled(t *testing.T) int64 {
	t.Helper()
	info := b.consumer(t)
	return int64(info.NumAckPending) + int64(info.NumPending)
}

func (b *broker) together(*testing.T, int) {}

type soakedKafka struct{ *kafka }

func (k soakedKafka) unsettled(t *testing.T) int64    { t.Helper(); return k.lag(t) }
func (k soakedKafka) together(t *testing.T, pods int) { t.Helper(); k.settled(t, pods) }
func (k soakedKafka) halt(t *testing.T)               { t.Helper(); k.cluster.Node(1).Stop(t) }
func (k soakedKafka) crash(*testing.T)                { k.cluster.Node(1).Kill() }
func (k soakedKafka) start(t *testing.T)              { t.Helper(); k.cluster.Node(1).Restart(t) }
