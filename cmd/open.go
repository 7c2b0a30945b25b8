package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/file"
)

// broker is the queue of a source as the commands use it: one implementation for
// each kind, in queue_*.go. Nothing is connected before a method is called.
type broker interface {
	// describe names where it is and what is read there, for `check`.
	describe() (place, read string)

	// companions name where dead letters stay beside the source, and what is parked for
	// an entry. Nothing is connected.
	companions(entry queue.Lane) (letters, parked string)

	// open joins the source for a worker, and the companions of its dead letters
	// if they stay beside it. What has to be closed is in q even after an error.
	open(ctx context.Context, q *queues, log *zap.Logger) error

	// plan says what `setup` has to do.
	plan(ctx context.Context, o *setupOptions, log *zap.Logger) (*plan, error)

	// publisher is the way into the queue.
	publisher(ctx context.Context, o *publishOptions, log *zap.Logger) (*publisher, error)

	// wayBack is where replayed dead letters go.
	wayBack(ctx context.Context, log *zap.Logger) (wayBack, error)

	// depot is what is parked beside the source, for people.
	depot(ctx context.Context, log *zap.Logger) (depot, error)

	// boxes are the dead letters that stay beside the source, for people: each has to be
	// closed. One that was never made may be a *queue.MissingError when it is read.
	boxes(ctx context.Context, log *zap.Logger) ([]queue.LetterBox, error)

	// beside opens what a worker has at the broker beside the source, for one without
	// a source: letters and parked records.
	beside(ctx context.Context, q *queues, log *zap.Logger) error

	// ask is `check --connect`: it changes nothing and tells v.
	ask(ctx context.Context, v *visit)
}

// brokerOf is the one place that knows all kinds of queues.
func brokerOf(cfg *configs.Config) broker {
	switch src := &cfg.Source; {
	case src.Kafka != nil:
		return &kafkaQueue{cfg: cfg, client: src.Kafka}
	case src.Embedded != nil:
		return &embeddedQueue{cfg}
	case src.File != nil:
		return &fileQueue{cfg}
	default:
		return &natsQueue{cfg: cfg, client: src.NATS}
	}
}

// queues is what a worker reads from, and puts dead letters and parked records to.
type queues struct {
	source  queue.Source
	letters queue.Sink     // nil: none
	parked  *lateParked    // nil: this source has no companion to park on
	backlog *parkedBacklog // of parked
	into    *publisher     // of a job with --to-queue
	closers []func()

	own *natsClient // of the embedded queue, for the demo
}

func (q *queues) closing(f func()) { q.closers = append(q.closers, f) }

func (q *queues) close() {
	for _, c := range slices.Backward(q.closers) {
		c()
	}
}

// openQueues connects, verifies what loses or stalls data, and makes the
// companions, so that nothing of it is found out at the first failure.
func openQueues(ctx context.Context, cfg *configs.Config, log *zap.Logger) (*queues, error) {
	q := &queues{}
	err := brokerOf(cfg).open(ctx, q, log)
	if err == nil && cfg.DeadLetter.File != "" {
		err = q.openFile(cfg.DeadLetter.File)
	}
	if err != nil {
		q.close()
		return nil, atBroker(err, cfg.File)
	}
	return q, nil
}

// park gives the worker a companion. If the configuration parks it is prepared now:
// what is missing is an error of the start and not of the first failure. Else it is
// looked, beside all that, whether something is still parked; there says so.
func (q *queues) park(ctx context.Context, cfg *configs.Config, log *zap.Logger, open func(context.Context) (queue.Parked, error), there func(context.Context) (bool, error)) error {
	q.parked = newLateParked(open)
	q.backlog = newParkedBacklog(cfg.Source.Queue(), q.parked.Lanes)
	q.closing(q.backlog.close)
	if cfg.Parks() {
		return q.parked.Prepare(ctx, cfg.Parked())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	looked := make(chan struct{})
	q.closing(func() { cancel(); <-looked })
	go func() {
		defer close(looked)
		is, err := there(ctx)
		if err == nil && is {
			_, err = q.parked.begin(ctx)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("couldn't see whether something is parked; if so it stays there", zap.Error(err))
		}
	}()
	return nil
}

// atBroker is an error of a broker's method as it leaves a command: unavailable,
// unless it says otherwise.
func atBroker(err error, file string) error {
	var c *coded
	if errors.As(err, &c) {
		return err
	}
	return unavailable(namingFile(err, file))
}

// lettersBeside says whether dead letters stay at the source's broker.
func lettersBeside(cfg *configs.Config) bool {
	return !cfg.DeadLetter.None && cfg.DeadLetter.File == ""
}

// openFile keeps dead letters in a directory.
func (q *queues) openFile(dir string) error {
	sink, err := file.OpenLetters(dir, hostName())
	if err != nil {
		return fmt.Errorf("couldn't open dead_letter.file: %w", err)
	}
	q.letters = sink
	q.closing(func() { _ = sink.Close() }) // each Put is on the disk already
	return nil
}

func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown" // only a label: nothing depends on its being unique
	}
	return host
}
