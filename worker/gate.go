package worker

import (
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// parkedHost is the worker as the companion of parked records sees it.
type parkedHost struct{ host }

var _ queue.ParkedHost = parkedHost{}

// Gate implements queue.ParkedHost.
func (h parkedHost) Gate(id queue.Lane) queue.Gate {
	w := h.w
	e := w.table.Load().entry(id.Entry())
	if e == nil {
		return queue.GateUnknown
	}
	if w.urgent.Load() {
		return queue.GateShut
	}
	l, kept := w.parkingOf(laneID{e, protocol.Key{Project: id.Project, Logstore: id.Logstore, Config: id.Config}})
	switch {
	case kept != nil && mutant.On(mutant.IdleShut):
		return queue.GateShut
	case kept != nil:
		return kept.gate(time.Now())
	case l == nil:
		return queue.GateProbe
	}
	if l.guard.tripped.Load() || e.guard.tripped.Load() || w.pauseOf(func(p *pause) bool { return p.holdsLane(l) }) != nil {
		return queue.GateShut
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.park.gate(time.Now())
}

// parkingOf is a lane, or how one parked that was stopped for being idle.
func (w *Worker) parkingOf(id laneID) (*lane, *parking) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lanes[id], w.parkings[id] // which is not written to
}

// entry finds one of a route, by route/flusher; nil if there is none, or if it leaves.
func (t *table) entry(name string) *entry {
	for _, r := range t.routes {
		for _, e := range r.entries {
			if e.name() == name {
				return e
			}
		}
	}
	return nil
}
