package flushers

import (
	"context"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/protocol"
)

// Flusher writes LogGroups to one destination. The worker makes one instance per
// project, logstore and config of a flusher entry, so an instance never sees
// another key than its own.
//
// Calls to one instance are serial (Init, IsReady, Flush, SetUrgent, Stop), Flush
// excepted for kinds that are [Concurrent]. A panic is an error of that call. A
// call that outlasts its deadline is abandoned: the runtime context of the
// instance ends, a fresh instance takes over, and Stop follows when the call has
// returned. Two instances of one key may therefore overlap for that time.
type Flusher interface {
	// Init opens what the instance needs. It may block for at most 30 s. An error
	// or a panic leaves nothing behind: no other call follows on that instance, not
	// even Stop. The worker tries again with a fresh instance, with backoff, and the
	// lane waits meanwhile.
	Init(Context) error

	// Description is one sentence; it must not block.
	Description() string

	// IsReady says whether Flush may be called now: capacity and connection. It is
	// asked before every Flush and, while false, again after 100 ms growing to
	// 500 ms with jitter (every 10 ms while urgent). It must not dial and must turn
	// true again by itself, without any Flush. Slower than 1 s counts as false.
	// logstoreKey is a stable 64-bit hash of project, logstore and config.
	IsReady(projectName, logstoreName string, logstoreKey int64) bool

	// Flush returns nil only when the data is durable at the destination. The list
	// is never empty and has no nil elements; groups without logs occur. It must
	// not change the groups. They stay valid after Flush returned unless the kind
	// declares NoRetain. See the error constructors of this package for what a
	// returned error causes; a plain error means: try the identical batch again.
	Flush(projectName, logstoreName, configName string, logGroupList []*protocol.LogGroup) error

	// SetUrgent(true): the process exits or this lane is removed; (false): this
	// instance is replaced or idle. Flush calls may follow.
	SetUrgent(flag bool)

	// Stop comes once, after the last Flush returned, and releases everything. It
	// may block for at most 5 s.
	Stop() error
}

// Context is what an instance gets at Init.
type Context interface {
	GetConfigName() string
	GetProject() string
	GetLogstore() string

	// GetRuntimeContext ends at the hard deadline of a stop, or when a call of this
	// instance is abandoned. Use it for every request that Flush makes.
	GetRuntimeContext() context.Context

	// Logger carries the lane's identity. Log state changes, never per message.
	Logger() *zap.Logger

	// Metrics makes counters named flushline_flusher_<kind>_<name>.
	Metrics() Metrics

	// Shared returns one value per process and key (the kind's name and a hash of
	// the connection options), counted: the first caller's open makes it, the last
	// release closes it. v is what open made: call release, never v.Close.
	Shared(key string, open func() (io.Closer, error)) (v io.Closer, release func(), err error)
}

// Metrics makes a kind's own counters and gauges. Asking twice for one name
// gives the same metric; the labels are the flusher entry's (route, flusher).
type Metrics interface {
	Counter(name, help string) Counter
	Gauge(name, help string) Gauge
}

// Counter only grows. Safe for concurrent use.
type Counter interface{ Add(n int64) }

// Gauge is set. Safe for concurrent use.
type Gauge interface{ Set(v int64) }

// BatchFlusher is called instead of Flush by the worker when a flusher has it.
// ctx ends at flush_timeout, or when the runtime context ends.
type BatchFlusher interface {
	FlushBatch(ctx context.Context, b *Batch) error
}

// Concurrent flushers let Flush run n at a time; nothing else may. Less than 1 counts
// as 1, more than MaxConcurrent as that.
type Concurrent interface{ Concurrent() int }

// MaxConcurrent is how many calls of Flush one instance has at a time at most.
const MaxConcurrent = 256

// Hinter says what batches the destination likes. The flusher entry's own batch
// options win.
type Hinter interface{ BatchHint() Hint }

// Hint is a wish; zero fields mean no wish, and so do negative ones. Wait is at most
// the time of a drain.
type Hint struct {
	Groups int
	Bytes  int64
	Wait   time.Duration
}

// Batch is one Flush of a BatchFlusher.
type Batch struct {
	Project, Logstore, Config string

	Groups    []*protocol.LogGroup // nil if the kind declares Raw
	Raw       [][]byte             // each group's protobuf, untouched; always there, as many as IDs
	IDs       []protocol.ID        // stable through retry, park, dead letter and replay
	Attempt   int                  // 1 at first
	FirstSeen time.Time            // when the oldest part of the batch was received
}
