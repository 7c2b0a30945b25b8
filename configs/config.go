package configs

import (
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/file/logfile"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/embedded"
	"github.com/flushline/flushline/worker"
)

// Config is a file that was found to be right. Package cmd opens what it names.
type Config struct {
	File string // as it was named
	Hash string // 12 hexadecimal digits of the file's SHA-256, for metrics and status

	Source     Source
	Routes     []Route
	DeadLetter DeadLetter
	Limits     Limits
	Drain      Drain
	Admin      Admin
	Metrics    Metrics
	Log        Log
	Reload     Reload
	Jobs       Jobs
	Removed    string // what becomes of flushers that a reload removes: see worker.Removal

	root *option.Node // the file
}

// Source is where messages come from. Exactly one of the queues is set.
type Source struct {
	Kafka    *kafka.Config
	NATS     *nats.Config
	Embedded *embedded.Config
	File     *logfile.Config // which files, a job is told when it is started

	Key    []worker.KeyRule // where a group's key is found, in this order
	Decode Decode
}

// Deployment names the work that all pods share: the group's or the durable's
// name. Several consumers in one source are one deployment, named after the first.
// Files are nobody's to share: it is backfill.
func (s *Source) Deployment() string {
	switch {
	case s.Kafka != nil:
		return s.Kafka.Group
	case s.NATS != nil:
		return s.NATS.List()[0].Durable
	case s.Embedded != nil:
		return s.Embedded.Durable
	case s.File != nil:
		return "backfill"
	}
	return ""
}

// Decode is how values are read when their headers do not say, and how large they
// may be.
type Decode struct {
	Format          string       `option:"format" enum:"auto,loggroup,loggrouplist,slspackage,slspackagelist,json,custom_single,custom_single_flatten,text" help:"What a value is when no content-type header says it. auto: the first bytes tell protobuf and JSON apart."`
	Encoding        string       `option:"encoding" enum:"none,gzip,zstd,lz4,snappy" help:"How a value is compressed when no content-encoding header says it."`
	MaxMessage      option.Bytes `option:"max_message" help:"Largest message of this source, as received; 0: limits.message."`
	MaxDecompressed option.Bytes `option:"max_decompressed" help:"Largest message of this source after decompression, and once it is protobuf; 0: limits.decompressed."`
}

// Validate refuses sizes that let no message in.
func (d *Decode) Validate() []option.Problem {
	var problems []option.Problem
	for _, s := range []struct {
		path string
		size option.Bytes
	}{{"max_message", d.MaxMessage}, {"max_decompressed", d.MaxDecompressed}} {
		if s.size != 0 && s.size < 1<<10 {
			problems = append(problems, option.Errorf(s.path, "%s is %s: write at least 1KiB, or 0", s.path, s.size))
		}
	}
	return problems
}

// Route sends the keys that match to each of its flushers. The first route that
// matches a key wins.
type Route struct {
	Name        string
	Match       Match
	WhenBlocked string
	ParkAfter   time.Duration // with WhenBlockedPark
	Strict      bool          // order: strict
	Flushers    []Entry

	pos option.Pos
}

// Parks says whether what a blocked lane holds goes to the companion.
func (r *Route) Parks() bool { return r.WhenBlocked == WhenBlockedPark }

// Match holds a pattern for each part of a key: text, "*", or a glob with * and ?.
type Match struct {
	Project  string `option:"project" help:"Project: text, * or a pattern with * and ?."`
	Logstore string `option:"logstore" help:"Logstore: text, * or a pattern with * and ?."`
	Config   string `option:"config" help:"Config: text, * or a pattern with * and ?."`
}

// Entry is one flusher of a route.
type Entry struct {
	Name          string
	Kind          flushers.Kind `json:"-"`
	Batch         Batch
	Retry         Retry
	Rate          Rate
	FlushTimeout  time.Duration
	AllowEnqueued bool

	digest  string
	options *option.Node // the entry's block; only read
	pos     option.Pos
	path    string
	place   placed // where it writes, if the kind says so
	// Where these were given; the zero Pos if they were not.
	flushTimeoutAt, batchWaitAt option.Pos
}

// Batch closes a batch at the first limit that is reached.
type Batch struct {
	Groups int           `option:"groups" min:"0" max:"1000000" help:"Close a batch at this many LogGroups; 0: what the destination likes."`
	Bytes  option.Bytes  `option:"bytes" max:"1GiB" help:"Close a batch at this size of protobuf; 0: what the destination likes."`
	Wait   time.Duration `option:"wait" max:"1h" help:"Wait this long for a fuller batch; 0: send what is there as soon as the destination is free."`
}

// Rate bounds what all lanes of an entry flush in one worker; 0: no bound.
type Rate struct {
	Groups int          `option:"groups" min:"0" max:"1000000000" help:"LogGroups a second; 0: no limit."`
	Bytes  option.Bytes `option:"bytes" min:"0" help:"Bytes of protobuf a second; 0: no limit."`
}

// Retry is the backoff after a failed Flush. It has no end.
type Retry struct {
	Initial time.Duration `option:"initial" alias:"InitialDelay" min:"1ms" max:"10m" help:"First pause after a failure; it grows by half each time, with 50 % jitter."`
	Max     time.Duration `option:"max" alias:"MaxDelay" min:"1ms" max:"10m" help:"Longest pause between attempts."`
}

// ForeignKeys are those of iLogtail's retry block.
func (r *Retry) ForeignKeys() []option.ForeignKey {
	const why = "a batch is tried until the destination takes it, or refuses it for good"
	return []option.ForeignKey{{Name: "Enable", Same: []string{"true"}, Why: why}, {Name: "MaxRetryTimes", Why: why}}
}

// Validate compares the two.
func (r *Retry) Validate() []option.Problem {
	if r.Initial > r.Max {
		return []option.Problem{option.Errorf("max", "retry.max %s is shorter than retry.initial %s",
			option.FormatDuration(r.Max), option.FormatDuration(r.Initial))}
	}
	return nil
}

// DeadLetter is where parts go that can never be flushed.
type DeadLetter struct {
	None      bool   // nowhere: such a part stops its strand
	File      string `option:"file" help:"Directory for dead letters, instead of a queue beside the source." example:"/var/lib/flushline/dead"`
	StopAfter int    `option:"stop_after" min:"1" help:"Stop a lane, flusher or source after so many dead letters in a row with nothing delivered between."`
}

// Limits bound memory and data.
type Limits struct {
	InFlight     option.Bytes  `option:"in_flight" min:"1MiB" help:"Messages as received that may be held at once, over all strands."`
	Work         option.Bytes  `option:"work" min:"1MiB" help:"Decoded data inside Flush calls."`
	Message      option.Bytes  `option:"message" min:"1KiB" help:"Largest message; larger ones are dead letters."`
	Decompressed option.Bytes  `option:"decompressed" min:"1KiB" help:"Largest message after decompression."`
	Window       int           `option:"window" min:"1" help:"Messages of one strand that may be held at once."`
	Lanes        int           `option:"lanes" min:"1" help:"Flusher instances at once, one for each key and flusher entry."`
	LaneIdle     time.Duration `option:"lane_idle" min:"1s" help:"Stop an instance that had nothing to do for this long."`
}

// ofSource puts what the source says of its own messages in the place of what all
// sources have.
func (l *Limits) ofSource(d *Decode) {
	if d.MaxMessage != 0 {
		l.Message = d.MaxMessage
	}
	if d.MaxDecompressed != 0 {
		l.Decompressed = d.MaxDecompressed
	}
}

// Drain bounds a stop.
type Drain struct {
	Timeout time.Duration `option:"timeout" min:"1s" help:"How long a stop may take: what has not ended by then goes back to the queue."`
}

// Admin is the HTTP server for status in detail and for changes.
type Admin struct {
	Listen string        `option:"listen" help:"Address; an empty text switches it off." example:"127.0.0.1:8480"`
	Token  option.Secret `option:"token" help:"Bearer token that every request must carry; needed when the address is not loopback." example:"${env:ADMIN_TOKEN}"`
	Tap    string        `option:"tap" enum:"redacted,contents" help:"What flushline tap may show of LogGroups. redacted: instead of the values of contents and tags only their lengths; contents: the values too, to whoever reaches this address and asks for them."`
}

// The values of Admin.Tap.
const (
	TapRedacted = "redacted"
	TapContents = "contents"
)

// Metrics is the HTTP server for probes and metrics; it is read-only.
type Metrics struct {
	Listen string `option:"listen" help:"Address of /healthz, /readyz and /metrics; an empty text switches it off." example:"0.0.0.0:8481"`
}

// Log is the program's own log.
type Log struct {
	Level  string `option:"level" enum:"debug,info,warn,error" help:"Least severity that is written."`
	Format string `option:"format" enum:"auto,console,json" help:"auto: console on a terminal, else json."`
}

// Reload says when a running worker takes its file over again.
type Reload struct {
	Watch bool `option:"watch" help:"Do so when the file changes, or a file that it takes values from. Without it SIGHUP and flushline reload do."`
}

// The values of Route.WhenBlocked.
const (
	WhenBlockedWait = "wait"
	WhenBlockedPark = "park"

	orderStrict = "strict" // of a route
)

func defaultDecode() Decode { return Decode{Format: "auto", Encoding: "none"} }

func defaultDeadLetter() DeadLetter { return DeadLetter{StopAfter: 1000} }

func defaultRetry() Retry {
	return Retry{Initial: 500 * time.Millisecond, Max: 30 * time.Second}
}

// fileBlock is the outermost block of a file.
type fileBlock struct {
	Source     *option.Node `option:"source,required" help:"The queue that messages come from: exactly one."`
	Routes     *option.Node `option:"routes,required" help:"Which keys go where; the first route that matches a key wins."`
	DeadLetter *option.Node `option:"dead_letter" help:"Where parts go that can never be flushed: {} is a queue beside the source, none stops the strand instead."`
	Limits     Limits       `option:"limits" help:"Bounds of memory and data."`
	Drain      Drain        `option:"drain" help:"Bounds of a stop."`
	Admin      Admin        `option:"admin" help:"Status in detail and changes, over HTTP."`
	Metrics    Metrics      `option:"metrics" help:"Probes and metrics, over HTTP."`
	Log        Log          `option:"log" help:"The program's own log."`
	Reload     Reload       `option:"reload" help:"When a running worker takes this file over again."`
	Jobs       Jobs         `option:"jobs" help:"Where replay and backfill keep jobs; default: beside the source."`
	Removed    string       `option:"removed" enum:"drain,dead_letter,park" help:"What becomes of what a flusher holds when a reload removes it. drain: it is delivered, and no more comes; dead_letter: it becomes dead letters; park: it is parked, and stays until the flusher is back or somebody moves it. Without it such a reload is refused."`
}

func defaultFile() *fileBlock {
	return &fileBlock{
		Limits: Limits{
			InFlight: 256 << 20, Work: 64 << 20, Message: 16 << 20, Decompressed: 64 << 20,
			Window: 8192, Lanes: 10000, LaneIdle: 10 * time.Minute,
		},
		Drain:   Drain{Timeout: 25 * time.Second},
		Admin:   Admin{Listen: "127.0.0.1:8480", Tap: TapRedacted},
		Metrics: Metrics{Listen: "0.0.0.0:8481"},
		Log:     Log{Level: "info", Format: "auto"},
		Reload:  Reload{Watch: true},
	}
}

// worker is the limits as the engine takes them.
func (l *Limits) worker() worker.Limits {
	return worker.Limits{
		InFlight: int64(l.InFlight), Work: int64(l.Work), Message: int64(l.Message),
		Decompressed: int64(l.Decompressed), Window: l.Window, Lanes: l.Lanes, LaneIdle: l.LaneIdle,
	}
}
