package why

import (
	"time"

	"github.com/flushline/flushline/worker"
)

// Report is what stands in a worker, what holds the most up first. Its JSON is the
// output of `flushline why --json`; docs/OPERATIONS.md describes it.
type Report struct {
	Version    string    `json:"version"`
	Deployment string    `json:"deployment"`
	Host       string    `json:"host"`
	State      string    `json:"state"` // of the worker: starting, running, draining, stopped
	Now        time.Time `json:"now"`

	Causes []Cause `json:"causes"`
	Moves  Moves   `json:"moves"`
}

// The kinds of causes.
const (
	KindStrand  = "strand"  // strands are not read
	KindLane    = "lane"    // lanes of one flusher do not move
	KindStopped = "stopped" // a lane, flusher or source dead-lettered everything
	KindPaused  = "paused"  // somebody paused it
	KindParked  = "parked"  // records are parked for a flusher that there is not
)

// Cause is one reason for which strands or lanes stand.
type Cause struct {
	Kind    string    `json:"kind"`
	Name    string    `json:"name"` // of the first strand, of the flusher, or of what stopped or was paused
	State   string    `json:"state"`
	Phase   string    `json:"phase,omitempty"` // of lanes that park, or have suspects
	Count   int64     `json:"count"`           // strands, lanes, or records of KindParked
	Since   time.Time `json:"since,omitzero"`  // the first of them
	Why     string    `json:"why,omitempty"`   // the last error, or what is waited for
	FreedBy string    `json:"freed_by"`        // what would free it, as one sentence

	Strands []Strand `json:"strands,omitempty"` // the largest lag first, at most MaxShown
	Lanes   []Lane   `json:"lanes,omitempty"`   // the oldest part first, at most MaxShown
}

// MaxShown is how many strands or lanes of one cause a report has; Cause.Count counts
// all.
const MaxShown = 20

// Strand is one that stands.
type Strand struct {
	Source    string    `json:"source"`
	Name      string    `json:"name"`
	Since     time.Time `json:"since"`
	Committed int64     `json:"committed"` // all up to here are acknowledged; -1: not known
	Position  int64     `json:"position"`  // the newest that was handed out
	End       int64     `json:"end"`       // the newest at the broker
	Behind    int64     `json:"behind"`    // messages not acknowledged
	Held      int64     `json:"held"`      // messages
	HeldBytes int64     `json:"held_bytes"`

	BlockedBy []string        `json:"blocked_by,omitempty"` // lanes
	Unended   *worker.Unended `json:"unended,omitempty"`    // the oldest part, and who has it
}

// Lane is one that stands.
type Lane struct {
	Route    string `json:"route"`
	Flusher  string `json:"flusher"`
	Project  string `json:"project"`
	Logstore string `json:"logstore"`
	Config   string `json:"config"`

	State   string              `json:"state"`
	Since   time.Time           `json:"since"`
	Attempt int                 `json:"attempt,omitempty"`
	NextTry time.Time           `json:"next_try,omitzero"`
	Batch   *worker.BatchStatus `json:"batch,omitempty"`
	Call    *worker.CallStatus  `json:"call,omitempty"`
	Parts   int                 `json:"parts"`
	Bytes   int64               `json:"bytes"`
	Parked  int64               `json:"parked,omitempty"` // by this process, while it parks
	Unended *worker.Unended     `json:"unended,omitempty"`
	Behind  int64               `json:"behind"` // messages of that part's strand that are not acknowledged; -1: not known

	Suspects []worker.SuspectStatus `json:"suspects,omitempty"` // batches of which it is not clear what is to blame
}

// Moves is what moves, or the proof that nothing has to.
type Moves struct {
	Strands  int64   `json:"strands"`   // are read
	Lanes    int64   `json:"lanes"`     // hold parts and move
	InFlight int64   `json:"in_flight"` // parts
	Flushed  int64   `json:"flushed"`   // groups, by this process
	Behind   int64   `json:"behind"`    // messages of all strands that are not acknowledged; -1: not known
	PerSec   float64 `json:"groups_per_second"`
	Over     float64 `json:"over_seconds"` // what PerSec was measured over; 0: it was not

	Newest []Newest  `json:"newest"`          // of the strands with the most traffic
	Oldest time.Time `json:"oldest,omitzero"` // broker time of the oldest message that has not ended
}

// Newest is how far a strand is.
type Newest struct {
	Source   string `json:"source"`
	Name     string `json:"name"`
	Position int64  `json:"position"` // handed out; -1: none yet
	End      int64  `json:"end"`      // at the broker; -1: not known
}
