package nats

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// Parked is the companion for parked records of a consumer: the work queue stream
// <stream>_<durable>_PARKED with a subject for each lane, on file, with the replicas
// of the source's stream, without any limit on age, refusing new records rather than
// deleting old ones when it is full.
//
// A lane whose gate is not shut is served by a durable of its own, which all pods
// share and which lets out one record at a time while the lane is probed: a record
// that is not taken counts as out for the probe interval, so the destination sees one
// attempt an interval, however many pods there are. After an open lane has shut, each
// of the records that were out may be tried once an interval. A durable is made on
// demand, goes by itself when no pod has asked for two minutes, and is deleted only
// when its lane is empty. At most 200 lanes are served at once by a pod: open ones
// first, and of those that are probed the one whose turn is the longest ago.
//
// What is too large for the server lies in chunks: the first one is the record, the
// others lie under a subject of their own and are stored before it. They are joined
// when the record is served. Chunks whose record is gone are removed, at the latest
// when their lane is empty and ten minutes have passed.
//
// All methods may be called from any goroutine; Run runs once at a time.
type Parked struct {
	sink    *Sink
	cfg     *Config
	one     Consumer // of the source
	source  *Source  // that serves the lanes
	backlog *backlog
	tidier  *tidier
	log     *zap.Logger
	look    chan struct{}
	stir    chan struct{}
}

var _ queue.Parked = (*Parked)(nil)

const (
	probeInterval  = 5 * time.Second // that a record which was not taken is left alone, and up to a quarter more
	deferredRest   = time.Second     // until the lane that did not take it asks for another
	closedPatience = 25 * time.Second

	lanesAtOnce     = 200
	probesAtOnce    = lanesAtOnce / 2
	parkedConsumers = 500 // of the stream: pods serve different lanes
	laneForgotten   = 2 * time.Minute
)

// OpenParked creates or verifies the companion of a consumer. One that would lose
// records, or that belongs to another deployment, is refused with what mends it. If it
// cannot be created the error names the permission and `flushline setup`.
//
// Of opt it takes Window, MaxMessage and Log, and Name, which with "_parked" behind
// it is the source of its strands.
func OpenParked(ctx context.Context, conn *Conn, cfg *Config, one Consumer, opt Options) (*Parked, error) {
	if err := parkedKind.ensure(ctx, conn, cfg, one); err != nil {
		return nil, err
	}
	sink, err := parkedSink(ctx, conn, one)
	if err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	opt.Name += "_parked"
	log := opt.Log.With(zap.String("source", opt.Name))
	p := &Parked{
		sink: sink, cfg: cfg, one: one, log: log,
		source:  &Source{cfg: cfg, opt: opt, conn: conn, log: troubles(log)},
		backlog: newBacklog(conn, one),
		look:    make(chan struct{}, 1),
		stir:    make(chan struct{}, 1),
	}
	p.tidier = &tidier{conn: conn, stream: sink.stream, log: log}
	return p, nil
}

// troubles is a log for what comes and goes all the time, such as the strands of lanes:
// of each only its troubles are told.
func troubles(log *zap.Logger) *zap.Logger {
	if log.Core().Enabled(zap.InfoLevel) {
		return log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
	}
	return log // it tells less already
}

func parkedSink(ctx context.Context, conn *Conn, one Consumer) (*Sink, error) {
	name := parkedKind.stream(one)
	sink, err := newSink(ctx, conn, name, name+".")
	if err != nil {
		return nil, err
	}
	sink.tails = true
	return sink, nil
}

// Describe implements queue.Sink.
func (p *Parked) Describe() string { return p.sink.Describe() }

// Put implements queue.Sink as Sink.Put does; Subject is Lane.String.
func (p *Parked) Put(ctx context.Context, ms []queue.Message) []error { return p.sink.Put(ctx, ms) }

// Prepare implements queue.Parked. All entries share the stream.
func (p *Parked) Prepare(ctx context.Context, _ []queue.Lane) error {
	return parkedKind.ensure(ctx, p.sink.conn, p.cfg, p.one)
}

// Lanes implements queue.Parked.
func (p *Parked) Lanes(ctx context.Context) ([]queue.Backlog, error) { return p.backlog.lanes(ctx) }

// Look implements queue.Parked.
func (p *Parked) Look(queue.Lane) { poke(p.look) }
