package worker

import (
	"time"

	"github.com/flushline/flushline/internal/mutant"
)

// A lane that is stopped for being idle leaves behind that it was blocked: what is parked
// of it would else be tried at once, and what comes wait for `park_after`, for each of
// thousands of idle lanes.

// rememberLocked keeps how a lane parked, of at most `limits.lanes` lanes.
func (w *Worker) rememberLocked(id laneID, k *parking) {
	if k.phase == flowing || mutant.On(mutant.IdleForgotten) {
		return
	}
	if len(w.parkings) >= w.cfg.Limits.Lanes {
		for other := range w.parkings { // any
			delete(w.parkings, other)
			break
		}
	}
	kept := *k
	w.parkings[id] = &kept
}

// recallLocked is how a lane parked that comes back, and forgets it. One that recovered
// has done so.
func (w *Worker) recallLocked(id laneID, now time.Time) (k parking) {
	if kept := w.parkings[id]; kept != nil {
		delete(w.parkings, id)
		if kept.phase == blocked || kept.since.Age(now) < healthy {
			return *kept
		}
	}
	return k
}

// forgetLocked forgets the lanes of an entry that is gone.
func (w *Worker) forgetLocked(e *entry) {
	for id := range w.parkings {
		if id.entry == e {
			delete(w.parkings, id)
		}
	}
}
