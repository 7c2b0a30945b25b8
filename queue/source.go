package queue

import (
	"context"
	"fmt"
	"time"
)

// Source is a configured queue that we consume. Run serves its strands until ctx
// ends or a bounded source is done; it returns only when every strand has ended
// and everything settled has reached the broker, or was given up at the deadline.
//
// Broker trouble after the start is state with retry, shown by Strand.Status,
// never an error of Run. Errors are what no retry can mend: a source that cannot
// be used at all.
//
// The cause of ctx's end is an *End; strands derive their contexts from ctx, so
// the cause reaches them unless the source ends one earlier with its own.
type Source interface {
	Run(ctx context.Context, h Host) error
}

// Host is the worker as a source sees it: a server of strands and a budget of
// bytes (the held pool).
type Host interface {
	// Serve consumes a strand until its ctx ends, the strand returns io.EOF, or a
	// terminal error. One goroutine per strand. On return everything the strand
	// handed out has been settled; only then does the source commit and let go.
	Serve(ctx context.Context, s Strand) error

	// Take asks for bytes before the broker is asked for messages: at least min,
	// at most max. FIFO; it waits until min bytes are free. With min 0 it never
	// waits and may return 0. A min beyond the whole budget counts as the whole
	// budget: what comes beyond is charged.
	Take(ctx context.Context, min, max int64) (int64, error)

	// Give returns bytes that were taken and are not attached to a delivery.
	Give(n int64)

	// Charge accounts for bytes that came beyond what was taken. It never waits
	// and may overdraw.
	Charge(n int64)
}

// Meter is implemented by sources that count what belongs to no strand. It never
// blocks and may be called from any goroutine.
type Meter interface {
	Totals() Totals
}

// Totals only grow while the process lives.
type Totals struct {
	Rebalances int64 // Kafka: generations joined after the first
}

// Strand is one run of messages with its own cursor: an owned Kafka partition,
// a JetStream consumer, a file. Pausing and draining happen per strand.
type Strand interface {
	Info() Info

	// Fetch returns at least one delivery and at most room, except that one
	// message is returned even when it is larger than room.Bytes. It waits for
	// messages while ctx lives. One call at a time; cancelling it loses nothing
	// that was received; what arrived beyond room waits in the strand. io.EOF: a
	// bounded strand has ended. Not calling Fetch is the pause.
	Fetch(ctx context.Context, room Room) ([]*Delivery, error)

	// Status never blocks and may be called from any goroutine.
	Status() Status
}

// Room is how much a Fetch may return.
type Room struct {
	Messages int
	Bytes    int64
}

// Info is what a strand is; it does not change while the strand lives.
type Info struct {
	Source      string // the configured source, for metrics: "nats", "kafka", "embedded", "file"
	Name        string // "LOGS/flushline", "logs[3]", a path
	Incarnation string // differs when the stream, consumer or assignment was made anew
	Parked      bool   // a parked lane rather than live traffic
	Bounded     bool   // ends with io.EOF
	Accounted   bool   // its deliveries' settlers are Accountants
}

// Status is what a strand knows of itself and of its place in the queue.
// Positions are offsets or sequences; -1 means unknown.
type Status struct {
	State string `json:"state"`           // one of the State constants
	Cause string `json:"cause,omitempty"` // why, in words, when State is not consuming, or Full

	Position  int64     `json:"position"`  // the newest message handed out
	Committed int64     `json:"committed"` // all up to here are acknowledged at the broker
	End       int64     `json:"end"`       // the newest message of the queue
	Lag       int64     `json:"lag"`       // messages not yet acknowledged, as the broker counts them
	Oldest    time.Time `json:"oldest"`    // broker time of the oldest unsettled message; zero if none

	CommittedAt time.Time `json:"committed_at,omitzero"` // when Committed was last confirmed by the broker; zero where acknowledgements are not commits

	Unsettled      int64 `json:"unsettled"`       // handed out, not settled
	Buffered       int64 `json:"buffered"`        // messages received, not handed out
	BufferedBytes  int64 `json:"buffered_bytes"`  //
	RequestedBytes int64 `json:"requested_bytes"` // asked of the broker and not arrived
	Full           bool  `json:"full,omitempty"`  // Fetch waits, and nothing is asked for before more of what was handed out has ended
	Redelivered    int64 `json:"redelivered"`     // messages the broker delivered more than once

	// PassedOver counts messages that were never delivered to us, by reason:
	// expired, purged, control, aborted, compacted, recreated.
	PassedOver map[string]int64 `json:"passed_over,omitempty"`
}

// The states of a strand that its source knows. The worker adds its own on top
// (paused, budget_exhausted, stopped).
const (
	StateConsuming           = "consuming"
	StateJoining             = "joining"               // before the first successful exchange with the broker
	StateBrokerAway          = "broker_away"           // no connection, or nobody confirms what has to be before it is read; retrying
	StateAckPendingExhausted = "ack_pending_exhausted" // NATS: MaxAckPending is full through others' fault
	StateMissing             = "missing"               // stream or consumer is not there; retrying
	StateTopicMissing        = "topic_missing"         // Kafka: the topic is not there; retrying
	StateStalled             = "stalled"               // there is lag, or nobody asked for long whether there is, Fetch waits and nothing comes; the cause says why
	StateRefused             = "refused"               // the broker denies it (rights, group, settings); retrying
	StateMisconfigured       = "misconfigured"         // the broker's settings would lose or stall data
	StateEnded               = "ended"
)

// Reason says why a strand's context ended.
type Reason int

// The reasons of an End.
const (
	Stopping Reason = iota + 1 // the process stops
	Revoked                    // a rebalance takes the strand; drain it
	Lost                       // it is no longer ours: settle nothing
	Closed                     // a parked lane shut again
)

func (r Reason) String() string {
	switch r {
	case Stopping:
		return "stopping"
	case Revoked:
		return "revoked"
	case Lost:
		return "lost"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("reason(%d)", int(r))
}

// End is the cause with which a strand's context ends. Serve then fetches no
// more, lets finish what can finish before Deadline (Lost: nothing), releases the
// rest and returns.
type End struct {
	Reason   Reason
	Deadline time.Time
	Why      string // in words, for the log; may be empty

	// Lost is closed when a strand that still drains is lost: Serve then goes on as
	// if Reason were Lost. nil: that does not happen, or is not known.
	Lost <-chan struct{}
}

func (e *End) Error() string {
	if e.Why == "" {
		return "strand ended: " + e.Reason.String()
	}
	return "strand ended: " + e.Reason.String() + ": " + e.Why
}

// Sink stores messages durably: the companions of a source, and everything that
// puts messages back.
type Sink interface {
	// Put stores ms in order and returns when each is durable or failed. The
	// result is nil if all were stored, else one error (or nil) per message. A
	// message whose error is a timeout may have been stored. It may be called
	// from several goroutines.
	Put(ctx context.Context, ms []Message) []error

	// Describe names the place for people: "nats stream LOGS_flushline_DLQ".
	Describe() string
}
