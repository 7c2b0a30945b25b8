package queue

import (
	"context"
	"time"
)

// Parked is the companion where records wait whose lane is blocked, durably and
// without an end. It stores them (Put) and serves them again as strands of its own,
// whose Info says Parked, as far as the lanes' gates let it.
//
// A parked record is one group toward one flusher entry: Message.Subject is the lane
// (Lane.String), x-flushline-to names the entry, x-flushline-source the strand that it
// was read from.
type Parked interface {
	Sink

	// Prepare makes or verifies what records toward these entries need, before the
	// first of them is parked. Only Route and Flusher of each are read. Errors name
	// the permission, `flushline setup`, and what else helps.
	Prepare(ctx context.Context, entries []Lane) error

	// Run serves what is parked until ctx ends, as Source.Run does. Trouble is state
	// with retry, never an error, and never an end of the live strands.
	Run(ctx context.Context, h ParkedHost) error

	// Lanes says what is parked, as the broker counts it; ordered by lane. On Kafka,
	// which does not count by lane, there is an entry per partition and its Lane has
	// Route and Flusher only.
	Lanes(ctx context.Context) ([]Backlog, error)

	// Look is a hint that the gate of a lane has opened. It never blocks.
	Look(lane Lane)
}

// ParkedHost is the worker as a companion sees it.
type ParkedHost interface {
	Host

	// Gate says what may be handed out for a lane now. It is cheap, never blocks, and
	// may be called from any goroutine.
	Gate(lane Lane) Gate
}

// Gate says how a lane takes parked records.
type Gate int

// The gates. What is handed out beyond a gate is deferred at once.
const (
	GateUnknown Gate = iota // the deployment has no such entry: the records stay, and somebody has to be told
	GateShut                // the lane is blocked: nothing
	GateProbe               // one record: it shows whether the lane's destination is back
	GateOpen                // any number; live traffic and parked records share the flusher by bytes
)

func (g Gate) String() string {
	return [...]string{"unknown", "shut", "probe", "open"}[g]
}

// Backlog is what is parked for one lane, or in one partition.
type Backlog struct {
	Lane     Lane
	Place    string    // subject, or topic and partition
	Messages int64     // records; on Kafka positions of the log, of which a record that was cut has several
	Bytes    int64     // 0: unknown
	Oldest   time.Time // when the oldest was parked; zero: unknown
}

// Deferrer is the Settler of a parked record: it can also be told that the lane does
// not take the record now. It then stays parked and is served again later; with a
// NATS consumer after a delay, on Kafka with another sweep. Like the other
// settlements it must not block, and comes at most once in place of them.
type Deferrer interface {
	Settler
	Defer(d *Delivery)
}
