package cmd

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

// fileQueue is files with logs, which only a job reads.
type fileQueue struct{ cfg *configs.Config }

var _ broker = (*fileQueue)(nil)

func (f *fileQueue) describe() (place, read string) {
	return "files", "what `backfill` is given, as " + f.cfg.Source.File.Format
}

// companions has none: such a configuration says where dead letters go, and never parks.
func (f *fileQueue) companions(queue.Lane) (letters, parked string) { return "-", "-" }

func (f *fileQueue) open(context.Context, *queues, *zap.Logger) error {
	return usage(errors.New("files are read by `flushline backfill`: a worker would never come to an end of them"))
}

func (f *fileQueue) plan(context.Context, *setupOptions, *zap.Logger) (*plan, error) {
	return &plan{needless: "files need nothing beside them", close: func() {}}, nil
}

func (f *fileQueue) publisher(context.Context, *publishOptions, *zap.Logger) (*publisher, error) {
	return nil, usage(errors.New("files are no queue that could be published to: name a configuration whose source is kafka, nats or embedded"))
}

var errFilesPark = usage(errors.New("files have no queue beside them to park on: nothing is parked there"))

func (f *fileQueue) depot(context.Context, *zap.Logger) (depot, error) { return nil, errFilesPark }

func (f *fileQueue) beside(context.Context, *queues, *zap.Logger) error { return errFilesPark }

// boxes is never reached: a file source names where its letters go.
func (f *fileQueue) boxes(context.Context, *zap.Logger) ([]queue.LetterBox, error) {
	return nil, usage(errors.New("there is no place for dead letters beside files"))
}

func (f *fileQueue) wayBack(context.Context, *zap.Logger) (wayBack, error) {
	return nil, usage(errors.New("files are no queue that letters could be put back to: use --direct"))
}

func (f *fileQueue) ask(_ context.Context, v *visit) {
	v.note("files are looked for by `backfill`, which is told where: there is nothing to ask before")
}
