package worker

import "errors"

// What an entry does that a reload removed.
const (
	staying   int32 = iota // it was not removed
	draining               // its lanes go on until they are empty
	expelling              // what its lanes hold becomes dead letters
	shelving               // what its lanes hold is parked
)

var leavingNames = [...]string{"", string(RemovedDrain), string(RemovedDeadLetter), string(RemovedPark)}

// leavingAs is what entries do that a reload removes.
func leavingAs(how Removal) int32 {
	switch how {
	case RemovedDeadLetter:
		return expelling
	case RemovedPark:
		return shelving
	}
	return draining
}

func (e *entry) isLeaving() bool { return e.leaving.Load() != staying }

var errRemoved = errors.New("a reload removed this flusher, with `removed: dead_letter`")

// expelled sends what the lane holds to the dead letters, or parks it, if its entry was
// removed that way; what is inside a call follows when it fails. True: so it is, and
// the token is given up.
func (l *lane) expelled() bool {
	switch l.entry.leaving.Load() {
	case expelling:
		l.w.letters.add(l.expel(false))
	case shelving:
		l.w.parker.add(l.expel(true))
	default:
		return false
	}
	return true
}

func (l *lane) expel(parking bool) []doomed {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		l.scheduled = false
		return nil
	}
	var ds []doomed
	doom := func(p *part, attempts int) {
		switch {
		case !p.open():
			return
		case parking:
			l.shelveLocked(p)
		default:
			l.doomLocked(p)
		}
		ds = append(ds, doomed{p: p, reason: ReasonUnknownTarget, err: errRemoved, attempts: attempts})
	}
	for _, q := range [2]*fifo{&l.live, &l.served} {
		for q.head != nil {
			doom(q.pop(), 0)
		}
	}
	for _, b := range l.retry {
		for _, p := range b.parts {
			doom(p, b.attempt)
		}
	}
	l.retry = nil
	l.idleLocked(l.ended)
	return ds
}

// releaseOf lets go what guards hold back of an entry whose parts are to become dead
// letters: there is no cause left to mend.
func (ls *letters) releaseOf(e *entry) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	kept := ls.held[:0]
	for _, d := range ls.held {
		if d.p.lane != nil && d.p.lane.entry == e {
			ls.pending = append(ls.pending, d)
		} else {
			kept = append(kept, d)
		}
	}
	clear(ls.held[len(kept):])
	ls.held = kept
	poke(ls.wake)
}

// unguarded says that a letter says nothing about a destination: somebody asked for
// it.
func (d *doomed) unguarded() bool {
	return d.p.lane != nil && d.p.lane.entry.leaving.Load() == expelling
}

// reap lets entries go that were removed and hold nothing any more; what they
// counted stays in the sums of their sources. Instances stop first, so that an entry
// which comes back finds those of its lanes.
func (w *Worker) reap() {
	if len(w.table.Load().leaving) == 0 {
		return
	}
	w.mu.Lock()
	lanes := w.retireLeavingLocked()
	old := w.table.Load()
	next := &table{routes: old.routes}
	var gone []*entry
	for _, e := range old.leaving {
		if w.mayGoLocked(e) {
			gone = append(gone, e)
		} else {
			next.leaving = append(next.leaving, e)
		}
	}
	if len(gone) > 0 {
		w.table.Store(next)
	}
	for _, e := range gone {
		w.departLocked(e)
	}
	w.mu.Unlock()
	w.stopInstances(lanes)
	w.dropPauses(gone)
}

func (w *Worker) retireLeavingLocked() []*lane {
	var lanes []*lane
	for id, l := range w.lanes {
		if id.entry.isLeaving() && l.retire() {
			delete(w.lanes, id)
			delete(w.surplus, l)
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// mayGoLocked says that nothing of an entry is left and that no strand hands out
// messages by a table that still had it.
func (w *Worker) mayGoLocked(e *entry) bool {
	for _, s := range w.strands {
		if t := s.using.Load(); t != nil && t.routesTo(e) {
			return false
		}
	}
	for id := range w.lanes {
		if id.entry == e {
			return false
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.stopping) == 0
}

func (w *Worker) departLocked(e *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.retired {
		for len(w.departed) <= i {
			w.departed = append(w.departed, tally{})
		}
		w.departed[i].merge(&e.retired[i])
	}
	w.kinds.forget(e)
	w.forgetLocked(e)
}
