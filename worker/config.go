package worker

import (
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// Config is what a Worker needs, already validated (package configs does it).
// Zero limits and durations take the defaults named at the fields.
type Config struct {
	Deployment string // the group or durable name all pods of this work share
	Version    string // for status and dead letters
	Host       string // this machine's or pod's name: {host} in templates

	Routes  []Route
	Payload Payload
	Limits  Limits

	// Only is what a job wants of its input; zero: everything.
	Only Selection

	DeadLetter DeadLetter

	// Parked is where records wait whose lane is blocked; nil: no route may Park.
	Parked queue.Parked

	// Drain bounds a stop: parts may end until then, the rest goes back. 25s.
	Drain time.Duration

	// GCPercent is the highest GOGC that Run may set, and 50 the lowest: high while
	// the collector has to work often, low while it has not, as the memory would then
	// be held for nothing. 0: Run leaves it alone.
	GCPercent int

	// TapContents allows taps that show the values of contents and tags.
	TapContents bool

	Logger *zap.Logger // nil: none

	// Crash ends the process when a goroutine of the worker or of a source panics;
	// it does not return. nil: the Go runtime does it, with its own exit code.
	Crash func(v any, stack []byte)
}

// Route sends the keys that match to its flushers. The first route that matches
// a key wins.
type Route struct {
	Name     string // [A-Za-z0-9_-]{1,48}, unique; identity in metrics and letters
	Match    Match
	Flushers []Entry // each gets every group

	// Park has a lane put what it holds to Config.Parked when its destination takes
	// nothing for ParkAfter, or when it holds up its strand. Else the strand waits.
	Park      bool
	ParkAfter time.Duration // 10s

	// Strict keeps the order of the source: one batch in flight, tried again in place
	// from its first failure on. Excludes Park.
	Strict bool
}

// Match holds three patterns: literal text, "*", or a glob with * and ?. Empty
// means "*".
type Match struct {
	Project, Logstore, Config string
}

// Entry is one flusher of a route.
type Entry struct {
	Name string // [A-Za-z0-9_-]{1,48}, unique within the route
	Kind flushers.Kind

	// New makes a flusher with this entry's options filled in: Kind.New and the
	// decoded block. It is called for each lane, and again for each replacement.
	New func() flushers.Flusher

	// Digest stands for what New fills in: a reload leaves the lanes of an entry
	// alone if kind, Digest and the fields below are as before. Empty: always other.
	Digest string

	Batch        Batch
	Rate         Rate          // of all lanes of the entry together
	RetryInitial time.Duration // 500ms; grows by 1.5 with 50 % jitter
	RetryMax     time.Duration // 30s
	FlushTimeout time.Duration // 20s
}

// Batch closes a batch at the first limit reached. Wait 0 is natural batching:
// what is queued when the flusher is free. Zero limits take the flusher's hint.
type Batch struct {
	Groups int
	Bytes  int64 // of protobuf
	Wait   time.Duration
}

// Rate bounds what an entry flushes in a second; zero: no bound.
type Rate struct {
	Groups int
	Bytes  int64 // of protobuf
}

// Payload says how values are read where headers do not.
type Payload struct {
	Format   protocol.Format   // where no content-type header says it
	Encoding protocol.Encoding // where no content-encoding header says it
	Key      []KeyRule         // nil: the headers alone
}

// Limits bound memory and data.
type Limits struct {
	InFlight     int64         // held pool: messages as received; 256 MiB
	Work         int64         // work pool: decoded data inside Flush; 64 MiB
	Message      int64         // received bytes of one message; 16 MiB
	Decompressed int64         // of one message; 64 MiB
	Window       int           // unended messages of a strand; 8192
	Lanes        int           // 10000
	LaneIdle     time.Duration // an instance is stopped after; 10m
}

// DeadLetter says where parts go that can never be flushed.
type DeadLetter struct {
	Sink queue.Sink // nil: none, a part that needs it stops its strand

	// StopAfter is how many in a row, with nothing delivered between, make a lane,
	// a flusher entry or a source stop until Resume. 1000.
	StopAfter int
}

func (c *Config) setDefaults() {
	def(&c.Drain, 25*time.Second)
	def(&c.Limits.InFlight, 256<<20)
	def(&c.Limits.Work, 64<<20)
	def(&c.Limits.Message, 16<<20)
	def(&c.Limits.Decompressed, 64<<20)
	def(&c.Limits.Window, 8192)
	def(&c.Limits.Lanes, 10000)
	def(&c.Limits.LaneIdle, 10*time.Minute)
	def(&c.DeadLetter.StopAfter, 1000)
	if c.Payload.Key == nil {
		c.Payload.Key = []KeyRule{{From: KeyHeaders}}
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
}

// withDefaults is a copy: the caller's routes stay as they are.
func (e Entry) withDefaults() Entry {
	def(&e.RetryInitial, 500*time.Millisecond)
	def(&e.RetryMax, 30*time.Second)
	def(&e.FlushTimeout, 20*time.Second)
	return e
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
