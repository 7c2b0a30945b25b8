package worker

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flushline/flushline/queue"
)

// ErrDrainDeadline is returned by Run when the drain's deadline passed with a
// Flush unfinished. What it held went back to the queue; exit code 75.
var ErrDrainDeadline = errors.New("the drain deadline passed with a Flush unfinished")

// Worker moves deliveries from sources to flushers.
type Worker struct{ cfg Config }

// New builds a worker; it starts nothing. Errors name the route or flusher.
func New(cfg Config) (*Worker, error) {
	cfg.setDefaults()
	return &Worker{cfg: cfg}, nil
}

// Run consumes the sources until ctx ends or all bounded sources are done. The
// end of ctx begins a stop that lasts at most Config.Drain; return means fully
// stopped.
func (w *Worker) Run(ctx context.Context, sources ...queue.Source) error { return nil }

// Hurry skips what is left of the drain (a second signal).
func (w *Worker) Hurry() {}

// Resume lets go on what stopped because it dead-lettered everything, and
// returns the names of it.
func (w *Worker) Resume() []string { return nil }

// Status is one consistent snapshot. Safe at any time, also before and after Run.
func (w *Worker) Status() *Status { return &Status{} }

// Collector exposes the metrics of docs/DESIGN.md, read from a snapshot.
func (w *Worker) Collector() prometheus.Collector { return nil }
