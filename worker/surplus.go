package worker

import (
	"time"

	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
)

// At `limits.lanes` a part whose key has no lane waits in intake, and its strand with it.
// Where its route parks it may hold up the strand for stalledFor, as any lane may that
// overflows: then it gets a surplus lane, which has no instance and parks all that comes.
// One stays until what it parks is stored, or until there is room for it among the
// others: then it is a lane as any. So there are at most as many of them as parts are on
// their way to the companion.

// noLane is why a surplus lane parks, for people.
const noLane = "`limits.lanes` lanes hold parts: what comes for this key is parked"

// surplusLane finds or makes a lane beyond the limit.
func (w *Worker) surplusLane(e *entry, key protocol.Key) *lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := laneID{e, key}
	if l := w.lanes[id]; l != nil {
		return l
	}
	now := time.Now()
	l := newLane(w, e, key, now)
	l.surplus, l.lastError, l.park.since = true, noLane, clock.At(now)
	w.lanes[id] = l
	w.surplus[l] = true
	return l
}

// adoptLocked makes a lane as any of a surplus one.
func (w *Worker) adoptLocked(l *lane) {
	delete(w.surplus, l)
	l.entry.follow(l)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.surplus, l.lastError = mutant.On(mutant.SurplusStays), ""
	l.park = w.recallLocked(laneID{l.entry, l.key}, time.Now())
}

// passesBy says that staged parts without a lane need not wait for one any longer. For a
// while after some had to wait that long, none waits: their strand stalls for stalledFor
// now and then and not for each key.
func (s *strand) passesBy(st *staged, now time.Time) bool {
	if s.w.parker == nil || st.slot.entry.parkAfter.Load() == 0 && !s.info.Parked {
		return false
	}
	if now.Sub(st.first.m.received) < stalledFor && now.Sub(s.passedBy) >= healthy {
		return false
	}
	if now.Sub(s.passedBy) >= healthy {
		s.log.Warn("`limits.lanes` lanes hold parts: what comes for other keys of routes that park is parked")
	}
	s.passedBy = now
	return true
}
