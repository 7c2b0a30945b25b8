// Package admin is the HTTP face of a running worker. It reads worker.Status and
// calls worker.Control, so it can neither slow a flush down nor move a cursor.
//
// Two handlers, for two listeners:
//
//   - [Public] is for probes and scrapers and may listen on every interface:
//     /healthz, /readyz, /metrics. It is read-only and names no project.
//   - [Control] is for the people who run the worker and listens on loopback, or
//     needs a token: the three above, /status (JSON of worker.Status: which lane
//     does not move, and why), POST /reload, POST /pause and POST /resume of a
//     route, flusher, lane or strand (query parameters: [TargetParameters]), POST
//     /tap, which shows groups as they come ([TapLine]), /debug/pprof/.
//
// A change that was refused is answered with 422 and the reason as text, or with 503
// if it may be asked for again later.
//
// Listeners are bound by [Listen] before the worker starts, so that a busy port
// is an error at start and not a worker nobody can see.
package admin

import (
	"errors"

	"github.com/flushline/flushline/worker"
)

// Worker is what the handlers need of a *worker.Worker. All methods are safe at
// any time.
type Worker interface {
	worker.Control
	Status() *worker.Status
	// Reload has the worker take over its configuration file again.
	Reload() (*worker.Changes, error)
}

// ErrNotNow is in errors of changes that may be asked for again later.
var ErrNotNow = errors.New("the worker has not started yet")
