//go:build unix

package e2e

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// What a worker may hold of what is parked: the bounds on duplicates follow from it.
const (
	crashParked  = 20  // messages of a strand, live or parked; on Kafka also of a partition
	crashBacklog = 400 // records that are parked before they are served
	crashOften   = 100 // messages that end before offsets are committed
)

// crashLanes is how many lanes the destination that dies has. On NATS each has a strand of
// its own: so few that more is parked than they may hold. On Kafka there are more than
// partitions.
var crashLanes = map[string]int{"nats": 10, "kafka": 30}

// parks says that the point is one of parking.
func (c *crashCell) parks() bool {
	switch c.Point {
	case failpoint.ParkPut, failpoint.ParkServed, failpoint.ParkedMoved, failpoint.ParkedCommitted, failpoint.ParkedTried:
		return true
	}
	return false
}

// lanes is traffic that a window of crashParked lets through: none of it waits in a batch.
func (x *crashed) lanes(t *testing.T) ledger.Load {
	t.Helper()
	if err := os.Mkdir(x.dir+"/waits", 0o700); err != nil { // nothing is written there
		t.Fatal(err)
	}
	load := x.load(0)
	load.Keys = crashKeys(x.queue)
	return load
}

func crashKeys(queue string) []protocol.Key { return ledger.Keys(2*crashLanes[queue], "slow", "both") }

func (x *crashed) parked() *parkedRig {
	return &parkedRig{rig: x.rig, kafka: x.kafka, entries: parkedEntries}
}

// backlog has records parked, and then served. For the move of a dead lane's records on
// Kafka every other lane stays dead: a partition with one of each kind has them moved.
func (x *crashed) backlog(t *testing.T) {
	t.Helper()
	if x.Point == failpoint.ParkedTried {
		x.silence(t)
		return
	}
	x.parked().dies(t, refuses, nil)
	x.parked().parks(t, crashBacklog)
	if x.Point == failpoint.ParkedMoved {
		x.slow.fails(refuses, odd)
		return
	}
	x.slow.recovers()
}

// silence has lanes die, and get nothing any more, for so long that sweeps of
// what is parked have become seldom: it is tried between two of them.
func (x *crashed) silence(t *testing.T) {
	t.Helper()
	x.slow.fails(refuses, even)
	load := x.load(0)
	load.Keys = slices.DeleteFunc(crashKeys(x.queue), func(k protocol.Key) bool { return !even(k) })
	load.Logs, load.Groups = 1, crashBacklog+crashBacklog/2
	x.produce(t, load)
	x.parked().parks(t, crashBacklog)
	began := time.Now()
	eventually(t, time.Minute, "the outage has lasted", func() bool { return time.Since(began) >= silenceLasts })
	x.slow.recovers()
}

// silenceLasts is two pauses between sweeps: the third is twice as long.
const silenceLasts = 12 * time.Second

// repeats is how many messages may come twice after the fault, if the process ends by it
// or is given up: what it held of live strands, and of parked ones. Those are on NATS one
// a lane, and on Kafka one a partition, of which more was delivered than was committed,
// and a put again may be stored twice.
func (x *crashed) repeats() int {
	switch {
	case !x.parks():
		return killRepeats(x.queue)
	case x.kafka == nil:
		return crashParked + crashLanes[x.queue]*crashParked
	}
	return 2 * (partitions*crashParked + 2*crashOften)
}
