package worker

import (
	"time"

	"github.com/flushline/flushline/queue"
)

// Status is one snapshot of the worker: what moves, what does not, and why. Its
// JSON is the body of /status.
type Status struct {
	Version    string    `json:"version"`
	Deployment string    `json:"deployment"`
	Host       string    `json:"host"`
	State      string    `json:"state"` // starting, running, draining, stopped
	Started    time.Time `json:"started"`
	Now        time.Time `json:"now"`

	Config     *ConfigStatus     `json:"config,omitempty"`     // of a worker that runs by a file
	Companions []CompanionStatus `json:"companions,omitempty"` // what is parked; who runs the worker fills it in

	Sources  []SourceStatus  `json:"sources"`
	Strands  []StrandStatus  `json:"strands"`
	Flushers []FlusherStatus `json:"flushers"`
	Lanes    []LaneStatus    `json:"lanes"`              // those that hold parts or park, standing ones first; at most MaxLanes
	Standing []StandingLanes `json:"standing,omitempty"` // all lanes that stand, by flusher, state and error; at most MaxStanding
	Pools    []PoolStatus    `json:"pools"`
	Stopped  []GuardStatus   `json:"stopped,omitempty"` // what waits for `flushline resume`
	Paused   []PauseStatus   `json:"paused,omitempty"`  // by `flushline pause`

	LateFlushes int64 `json:"late_flushes"` // results that came after their part was released
	Defects     int64 `json:"defects"`      // second settlements; zero or a bug
}

// ConfigStatus is the configuration in use. Who runs the worker fills it in.
type ConfigStatus struct {
	File        string            `json:"file"`
	Hash        string            `json:"hash"` // as in flushline_config_info
	Loaded      time.Time         `json:"loaded"`
	Given       map[string]string `json:"given,omitempty"` // where options stand that may have to be mended ("limits.lanes": file:line:col), and what letters and parked records are put on
	Reloads     int64             `json:"reloads"`
	Failed      int64             `json:"failed_reloads"`
	LastError   string            `json:"last_error,omitempty"` // of the newest reload, if that failed
	LastErrorAt time.Time         `json:"last_error_at,omitzero"`
}

// MaxLanes bounds Status.Lanes.
const MaxLanes = 200

// Counts is the equation of I5, in parts: Received = Flushed + DeadLettered +
// Parked + all of Skipped + all of Released + InFlight. InFlight is counted from
// live objects.
type Counts struct {
	Received     int64            `json:"received"`
	Flushed      int64            `json:"flushed"`
	DeadLettered map[string]int64 `json:"dead_lettered,omitempty"` // by reason class
	Parked       int64            `json:"parked"`
	Skipped      map[string]int64 `json:"skipped,omitempty"`  // by reason
	Released     map[string]int64 `json:"released,omitempty"` // by reason
	InFlight     int64            `json:"in_flight"`
}

// Balanced says whether the equation holds.
func (c *Counts) Balanced() bool {
	sum := c.Flushed + c.Parked + c.InFlight
	for _, m := range []map[string]int64{c.DeadLettered, c.Skipped, c.Released} {
		for _, n := range m {
			sum += n
		}
	}
	return sum == c.Received
}

// SourceStatus is the equation of one source and its messages.
type SourceStatus struct {
	Name         string `json:"name"`
	Place        string `json:"place,omitempty"` // where its broker is; who runs the worker fills it in
	Messages     int64  `json:"messages"`        // received
	Acknowledged int64  `json:"acknowledged"`    // messages
	Released     int64  `json:"released"`        // messages given back
	Counts       Counts `json:"parts"`
}

// StrandStatus is one strand and whether it is being fetched.
type StrandStatus struct {
	Source      string       `json:"source"`
	Name        string       `json:"name"`
	Incarnation string       `json:"incarnation"`
	State       string       `json:"state"` // fetching, window_full, budget_exhausted, draining, stopped, or the source's own
	Why         string       `json:"why,omitempty"`
	Since       time.Time    `json:"since"`
	BlockedBy   []string     `json:"blocked_by,omitempty"` // lanes that hold its window or bytes, the largest first, or its source's, the oldest first
	Held        int64        `json:"held"`                 // messages
	HeldBytes   int64        `json:"held_bytes"`
	Unended     *Unended     `json:"unended,omitempty"` // its oldest part; nothing behind it is acknowledged on Kafka
	Queue       queue.Status `json:"queue"`
}

// Unended is a part that has not ended.
type Unended struct {
	Strand   string    `json:"strand"`
	Position int64     `json:"position"` // of its message: offset or sequence
	Group    uint32    `json:"group"`    // which group of its original message, from 0
	Received time.Time `json:"received"`
	// Who has it: a lane, by its route, flusher and key, and its state. Without one it is
	// a dead letter that waits to be stored.
	Lane  string `json:"lane,omitempty"`
	State string `json:"state,omitempty"`
}

// FlusherStatus sums the lanes of one flusher entry.
type FlusherStatus struct {
	Route     string           `json:"route"`
	Flusher   string           `json:"flusher"`
	Kind      string           `json:"kind"`
	Lanes     map[string]int64 `json:"lanes"` // by state
	Counts    Counts           `json:"parts"`
	Errors    map[string]int64 `json:"errors,omitempty"`  // failed calls by class
	Abandoned int64            `json:"abandoned_calls"`   // not returned yet
	Leaving   string           `json:"leaving,omitempty"` // drain or dead_letter: a reload removed it while it held parts

	// Of a worker that runs by a file, while lanes of it stand: where the entry begins, and
	// what the file says about the kind's own options.
	At      string         `json:"at,omitempty"` // file:line:col
	Options []OptionStatus `json:"options,omitempty"`
}

// OptionStatus is where an option of a flusher stands. Its value is not shown.
type OptionStatus struct {
	Name   string `json:"name"`
	At     string `json:"at"` // file:line:col
	Secret bool   `json:"secret,omitempty"`
}

// LaneStatus answers "why does this not move".
type LaneStatus struct {
	Route    string `json:"route"`
	Flusher  string `json:"flusher"`
	Project  string `json:"project"`
	Logstore string `json:"logstore"`
	Config   string `json:"config"`

	State     string    `json:"state"`
	Why       string    `json:"why,omitempty"` // last error or what is waited for
	Since     time.Time `json:"since"`
	LastError string    `json:"last_error,omitempty"` // of Flush or Init, until one succeeds
	Attempt   int       `json:"attempt,omitempty"`    // of the batch that was tried most often
	NextTry   time.Time `json:"next_try,omitzero"`
	Parts     int       `json:"parts"`
	Bytes     int64     `json:"bytes"`
	Oldest    time.Time `json:"oldest,omitzero"` // when its oldest part was received
	Abandoned int       `json:"abandoned_calls,omitempty"`

	Suspects []SuspectStatus `json:"suspects,omitempty"` // the oldest; at most MaxSuspects
	Doubtful int             `json:"doubtful,omitempty"` // how many there are

	Unended *Unended     `json:"unended,omitempty"` // its oldest part
	Batch   *BatchStatus `json:"batch,omitempty"`   // that was tried most often, or is in a call
	Call    *CallStatus  `json:"call,omitempty"`    // into the flusher, while one lasts
	Park    *ParkStatus  `json:"park,omitempty"`    // of a route that parks, while it does
}

// BatchStatus is the size of a batch.
type BatchStatus struct {
	Groups int   `json:"groups"`
	Bytes  int64 `json:"bytes"` // of protobuf
}

// CallStatus is a call that has not returned.
type CallStatus struct {
	Method string    `json:"method"` // Init, IsReady, Flush, SetUrgent, Stop
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"` // it is abandoned
}

// StandingLanes are the lanes of one flusher that stand in one state for one reason.
type StandingLanes struct {
	Route   string    `json:"route"`
	Flusher string    `json:"flusher"`
	State   string    `json:"state"`
	Phase   string    `json:"phase,omitempty"` // of parking
	Why     string    `json:"why,omitempty"`   // the last error, or what is waited for; empty for all beyond MaxStanding
	Lanes   int64     `json:"lanes"`
	Parts   int64     `json:"parts"`
	Bytes   int64     `json:"bytes"`
	Since   time.Time `json:"since"`           // the first of them
	Oldest  time.Time `json:"oldest,omitzero"` // when the oldest part of theirs was received
}

// MaxStanding bounds Status.Standing.
const MaxStanding = 100

// SuspectStatus is a batch that fails while its lane delivers others: is it the data?
type SuspectStatus struct {
	Phase   string    `json:"phase"` // suspected, halving, alone, pausing, hanging
	Attempt int       `json:"attempt"`
	Groups  int       `json:"groups"`
	Failed  string    `json:"failed"` // what the flusher said last
	NextTry time.Time `json:"next_try,omitzero"`
	Next    string    `json:"next"` // what happens next
}

// MaxSuspects bounds LaneStatus.Suspects.
const MaxSuspects = 5

// The phases of a suspect.
const (
	SuspectSuspected = "suspected" // others came through since it failed first; it is tried again
	SuspectHalving   = "halving"   // it holds poison: halves of it are tried
	SuspectAlone     = "alone"     // one group, that has failed by itself
	SuspectPausing   = "pausing"   // nothing of its lane came through since it failed: it is not looked into
	SuspectHanging   = "hanging"   // its Flush did not return, twice
)

// ParkStatus is why a lane parks.
type ParkStatus struct {
	Phase     string    `json:"phase"`               // blocked, recovering, overflow, no_lane
	Since     time.Time `json:"since,omitzero"`      // of a phase that is not overflow
	NextProbe time.Time `json:"next_probe,omitzero"` // blocked: no try before
	Parked    int64     `json:"parked"`              // parts, by this process since it knows the lane
	Cap       int64     `json:"cap,omitempty"`       // overflow: bytes that may be queued
}

// The phases of a lane that parks.
const (
	ParkBlocked    = "blocked"    // its destination takes nothing: all but a try now and then is parked
	ParkRecovering = "recovering" // a try succeeded, 10 s ago at most: one failure blocks it again
	ParkOverflow   = "overflow"   // it is slower than what comes, and parks what its strand could not hold
	ParkNoLane     = "no_lane"    // `limits.lanes` lanes are busy: it has no instance, and parks all that comes
)

// The states of a lane.
const (
	LaneIdle          = "idle"
	LaneQueued        = "queued"   // has parts, waits for its turn
	LaneBatching      = "batching" // waits for a fuller batch
	LaneStarting      = "starting" // Init runs
	LaneFlushing      = "flushing" // a call runs
	LaneUnready       = "unready"  // IsReady is false
	LaneBackoff       = "backoff"  // the last Flush or Init failed
	LaneMisconfigured = "misconfigured"
	LaneWorkWait      = "waiting_for_work_bytes"
	LaneWedged        = "wedged"                    // too many abandoned calls
	LaneHolding       = "dead_lettering_everything" // waits for `flushline resume`
	LaneLettering     = "dead_lettering"            // waits for the dead letter queue
	LanePaused        = "paused"                    // by `flushline pause`
	LaneRateLimited   = "rate_limited"              // its entry has a rate
	LaneParking       = "parking"                   // blocked, or what it holds waits for the parked queue
)

// PoolStatus is one byte pool.
type PoolStatus struct {
	Name    string `json:"name"` // held, work
	Limit   int64  `json:"limit"`
	Used    int64  `json:"used"`
	Waiting int    `json:"waiting"` // takers in line
}

// GuardStatus is something that dead-lettered everything and stopped.
type GuardStatus struct {
	Scope string    `json:"scope"` // lane, flusher, source
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Count int       `json:"count"`
	Last  string    `json:"last_error"`
}
