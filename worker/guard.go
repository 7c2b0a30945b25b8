package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// guard stops a lane, a flusher entry or a source that dead-letters everything: a
// wrong password or a wrong format must not empty a queue into the dead letters.
// What it holds back waits for Resume.
type guard struct {
	streak  atomic.Int64 // dead letters in a row, nothing delivered between
	tripped atomic.Bool

	mu    sync.Mutex
	since time.Time
	last  string
}

// another counts one more and says whether the guard holds it back.
func (g *guard) another(most int, why string) bool {
	if g.streak.Add(1) <= int64(most) {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = why
	if !g.tripped.Swap(true) {
		g.since = time.Now()
	}
	return true
}

// delivered breaks a streak.
func (g *guard) delivered() {
	if g.streak.Load() != 0 && !g.tripped.Load() {
		g.streak.Store(0)
	}
}

// resume lets go on and says whether it had stopped.
func (g *guard) resume() bool {
	g.streak.Store(0)
	return g.tripped.Swap(false)
}

func (g *guard) status(scope, name string) (GuardStatus, bool) {
	if !g.tripped.Load() {
		return GuardStatus{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return GuardStatus{Scope: scope, Name: name, Since: g.since, Count: int(g.streak.Load()), Last: g.last}, true
}

// guards of a part: its lane, its flusher entry, its source.
func (p *part) guards() []*guard {
	gs := []*guard{&p.m.strand.source.guard}
	if p.lane != nil {
		gs = append(gs, &p.lane.guard, &p.lane.entry.guard)
	}
	return gs
}

// held says whether any guard of the part has stopped.
func (p *part) held() bool {
	for _, g := range p.guards() {
		if g.tripped.Load() {
			return true
		}
	}
	return false
}

// clearStreaks notes that something was delivered.
func (l *lane) clearStreaks(parts []*part) {
	l.guard.delivered()
	l.entry.guard.delivered()
	var last *source
	for _, p := range parts {
		if s := p.m.strand.source; s != last {
			last = s
			s.guard.delivered()
		}
	}
}

// holdLocked keeps a lane waiting whose guard, or whose entry's, has stopped.
func (l *lane) holdLocked() bool {
	if !l.guard.tripped.Load() && !l.entry.guard.tripped.Load() {
		return false
	}
	l.waitLocked(holding, "it dead-lettered everything; mend the cause, then run `flushline resume`", holdPoll)
	return true
}

// Resume lets go on what stopped because it dead-lettered everything, and returns
// the names of it.
func (w *Worker) Resume() []string {
	var names []string
	w.eachGuard(func(scope, name string, g *guard) {
		if g.resume() {
			names = append(names, scope+" "+name)
		}
	})
	if len(names) > 0 {
		w.letters.resume()
		w.wakeLanes()
	}
	return names
}

func (w *Worker) eachGuard(do func(scope, name string, g *guard)) {
	for _, s := range w.sourceList() {
		do("source", s.name, &s.guard)
	}
	for _, r := range w.routes {
		for _, e := range r.entries {
			do("flusher", e.name(), &e.guard)
		}
	}
	for _, l := range w.laneList() {
		do("lane", l.entry.name()+" "+l.key.String(), &l.guard)
	}
}
