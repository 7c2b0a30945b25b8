package worker

import "runtime/debug"

// crash is deferred by the goroutines of the worker and of its sources. A panic
// there is a defect that left locks and counts behind: nothing may go on, and what
// is held was not acknowledged. Panics of flushers never come here.
func (w *Worker) crash() {
	if w.cfg.Crash == nil {
		return
	}
	if v := recover(); v != nil {
		w.cfg.Crash(v, debug.Stack())
	}
}
