package worker

import (
	"context"
	"runtime/debug"
	"slices"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
)

// lane finds or makes a lane. Nil: `limits.lanes` lanes exist and none is idle.
func (w *Worker) lane(e *entry, key protocol.Key) *lane {
	id := laneID{e, key}
	now := time.Now()
	w.mu.Lock()
	l := w.lanes[id]
	if l != nil && !w.surplus[l] {
		w.mu.Unlock()
		return l
	}
	var stopped []*lane
	if w.fullLocked() && now.Sub(w.noneIdle) >= lanesAgain {
		if stopped = w.evictLocked(max(1, w.cfg.Limits.Lanes/20), now); len(stopped) == 0 {
			w.noneIdle = now
		}
		l = w.lanes[id] // a surplus one may have been among them
	}
	switch {
	case w.fullLocked():
		l = nil
	case l != nil:
		w.adoptLocked(l)
	default:
		l = newLane(w, e, key, now)
		l.park = w.recallLocked(id, now)
		w.lanes[id] = l
		e.follow(l)
	}
	w.mu.Unlock()
	w.stopInstances(stopped)
	return l
}

// lanesAgain is how soon idle lanes are looked for again when there were none: that asks
// each of them.
const lanesAgain = 100 * time.Millisecond

// fullLocked says that as many lanes have, or may have, an instance as may have one.
func (w *Worker) fullLocked() bool { return len(w.lanes)-len(w.surplus) >= w.cfg.Limits.Lanes }

// evictLocked stops up to n lanes that have been idle since before a time, the
// longest idle first: one scan makes room for many. Surplus lanes without parts go
// beside them.
func (w *Worker) evictLocked(n int, before time.Time) (out []*lane) {
	type candidate struct {
		l     *lane
		since time.Time
	}
	var idlers []candidate
	for id, l := range w.lanes {
		if w.surplus[l] {
			if l.retire() || mutant.On(mutant.SurplusUncounted) {
				delete(w.lanes, id)
				delete(w.surplus, l)
			}
			continue
		}
		l.mu.Lock()
		if l.evictableLocked() && l.since.Before(before) {
			idlers = append(idlers, candidate{l, l.since})
		}
		l.mu.Unlock()
	}
	slices.SortFunc(idlers, func(a, b candidate) int { return a.since.Compare(b.since) })
	for _, c := range idlers[:min(n, len(idlers))] {
		if c.l.retire() {
			id := laneID{c.l.entry, c.l.key}
			delete(w.lanes, id)
			w.rememberLocked(id, &c.l.park)
			out = append(out, c.l)
		}
	}
	return out
}

func (l *lane) evictableLocked() bool {
	return !l.scheduled && l.state == idle && len(l.dying) == 0 && l.abandoned == 0 && l.followsLocked()
}

// retire marks an idle lane as gone and leaves its counts with the entry, in one
// step, so that a snapshot sees them once.
func (l *lane) retire() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.evictableLocked() {
		return false
	}
	l.gone = true
	e := l.entry
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range l.tally {
		for len(e.retired) <= i {
			e.retired = append(e.retired, tally{})
		}
		e.retired[i].merge(&l.tally[i])
	}
	l.tally = nil
	if l.inst != nil {
		if e.stopping == nil {
			e.stopping = map[protocol.Key]*instance{}
		}
		e.stopping[l.key] = l.inst
	}
	return true
}

// followsLocked says that the lane waits for no older instance to stop: a lane of
// the same key could not know of it.
func (l *lane) followsLocked() bool {
	return l.before == nil || l.before.hasStopped()
}

// stopInstances stops what idle lanes had open. A lane of the same key that comes
// meanwhile waits for it before its Init.
func (w *Worker) stopInstances(lanes []*lane) {
	for _, l := range lanes {
		inst := l.letGoIdle()
		if inst == nil {
			continue
		}
		e := l.entry
		w.runners.spawnPlain(func() {
			inst.stop(e.isLeaving(), farewell)
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.stopping[l.key] == inst {
				delete(e.stopping, l.key)
			}
		})
	}
}

// letGoIdle takes the instance out of a lane that is gone: strands remember such
// lanes until their next part for that key.
func (l *lane) letGoIdle() *instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	inst := l.inst
	l.inst, l.call.inst = nil, nil
	return inst
}

// follow tells a new lane which instance of its key has still to stop.
func (e *entry) follow(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.before = e.stopping[l.key]
}

// sweep stops lanes that were idle for `limits.lane_idle`.
func (w *Worker) sweep(ctx context.Context) {
	t := time.NewTicker(max(w.cfg.Limits.LaneIdle/10, time.Second))
	defer t.Stop()
	rest := time.NewTicker(restEvery)
	defer rest.Stop()
	press := time.NewTicker(time.Second)
	defer press.Stop()
	pace := newPacer(w.cfg.GCPercent, setGCPercent)
	var seen int64
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-press.C: // intake closes them too, but may be what waits
			pace.look()
			w.closeBatches()
			for _, s := range w.strandList() {
				s.look(now)
			}
			crowded := w.relieve(now)
			for _, l := range w.parkingLanes() {
				l.look(now, crowded)
			}
			w.reap()
		case <-rest.C:
			seen = w.giveMemoryBack(seen)
		case now := <-t.C:
			w.mu.Lock()
			stopped := w.evictLocked(len(w.lanes), now.Add(-w.cfg.Limits.LaneIdle))
			w.mu.Unlock()
			w.stopInstances(stopped)
		}
	}
}

// restEvery is how often the worker looks whether it is at rest.
const restEvery = 10 * time.Second

// giveMemoryBack returns memory to the system when messages came since it was last
// asked and none is held now: with the high GOGC of `run` the heap would keep its
// largest size for minutes. A collection at rest disturbs nobody.
func (w *Worker) giveMemoryBack(seen int64) int64 {
	var messages int64
	for _, s := range w.sourceList() {
		messages += s.messages.Load()
	}
	for _, s := range w.strandList() {
		if s.held.Load() > 0 {
			return seen
		}
	}
	if messages != seen {
		debug.FreeOSMemory()
	}
	return messages
}

func (w *Worker) strandList() []*strand {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*strand(nil), w.strands...)
}

func (w *Worker) laneList() []*lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	lanes := make([]*lane, 0, len(w.lanes))
	for _, l := range w.lanes {
		lanes = append(lanes, l)
	}
	return lanes
}
