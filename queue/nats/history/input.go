package history

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
)

// Options of an Input; the zero value is usable.
type Options struct {
	// Idle is how long the server keeps the consumer of a slice that nobody reads: of
	// a process that died, or of a slice that is held back, which gets a new one when
	// it goes on. 1 minute.
	Idle time.Duration

	// MaxBatch is how many messages are asked for at a time; 2048.
	MaxBatch int
}

// Input opens the slices of a plan of this package. It does not own its
// connection.
type Input struct {
	conn  *nats.Conn
	cfg   *nats.Config
	opt   Options
	large chan struct{} // held by the one request that has no limit of bytes
	short time.Duration // how long a stream may end below a slice before it is believed
}

// NewInput reads through conn; cfg is that of the plan.
func NewInput(conn *nats.Conn, cfg *nats.Config, opt Options) *Input {
	if opt.Idle <= 0 {
		opt.Idle = time.Minute
	}
	if opt.MaxBatch <= 0 {
		opt.MaxBatch = 2048
	}
	return &Input{conn: conn, cfg: cfg, opt: opt, large: make(chan struct{}, 1), short: shortFor}
}

// Open implements job.Input. The server is asked by the first Read.
func (in *Input) Open(_ context.Context, s *job.Slice, at int64) (job.Reader, error) {
	one, err := in.consumer(s)
	if err != nil {
		return nil, err
	}
	return &reader{
		in: in, slice: *s, one: one, next: at,
		seed:  queue.NewOriginSeed(s.Stamp, one.Stream),
		sizer: newSizer(in.opt.MaxBatch),
	}, nil
}

// consumer finds whose subjects a slice reads. A slice whose consumer is not in the
// configuration any more would be read with other filters.
func (in *Input) consumer(s *job.Slice) (nats.Consumer, error) {
	name, _, _ := strings.Cut(s.Name, " ")
	stream, durable, both := strings.Cut(name, "/")
	var found []nats.Consumer
	for _, one := range in.cfg.List() {
		if one.Stream == stream && (!both || one.Durable == durable) {
			found = append(found, one)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nats.Consumer{}, &job.ChangedError{Slice: s.Name, Why: fmt.Sprintf(
		"the configuration names %d consumers that could be meant by %s", len(found), name)}
}
