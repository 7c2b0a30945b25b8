// Package admin is the HTTP face of a running worker. It reads worker.Status and
// asks for nothing else, so it can neither slow a flush down nor move a cursor.
//
// Two handlers, for two listeners:
//
//   - [Public] is for probes and scrapers and may listen on every interface:
//     /healthz, /readyz, /metrics. It is read-only and names no project.
//   - [Control] is for the people who run the worker and listens on loopback, or
//     needs a token: the three above, /status (JSON of worker.Status: which lane
//     does not move, and why), POST /resume, /debug/pprof/.
//
// Listeners are bound by [Listen] before the worker starts, so that a busy port
// is an error at start and not a worker nobody can see.
package admin

import "github.com/flushline/flushline/worker"

// Worker is what the handlers need of a *worker.Worker. All methods are safe at
// any time.
type Worker interface {
	Status() *worker.Status
	Resume() []string
}
