package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
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

// another counts one more. hold: the guard keeps it back; first: it has just
// stopped what it guards.
func (g *guard) another(most int, why string) (hold, first bool) {
	if !g.tripped.Load() && g.streak.Add(1) <= int64(most) {
		return false, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = why
	if first = !g.tripped.Swap(true); first {
		g.since = time.Now()
		g.streak.Store(int64(most))
	}
	return true, first
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

// guardedBy counts a dead letter with the guards of its part (source, flusher
// entry, lane) and says whether one of them holds it back.
func (p *part) guardedBy(most int, why string) (hold bool) {
	count := func(g *guard, scope string, name func() string) {
		h, first := g.another(most, why)
		hold = hold || h
		if first {
			p.m.strand.log.Error("it dead-lettered everything and stops; mend the cause, then run `flushline resume`",
				zap.String("scope", scope), zap.String("name", name()), zap.Int("in_a_row", most), zap.String("last", why))
		}
	}
	src := p.m.strand.source
	count(&src.guard, "source", func() string { return src.name })
	if l := p.lane; l != nil {
		count(&l.entry.guard, "flusher", l.entry.name)
		count(&l.guard, "lane", func() string { return l.entry.name() + " " + l.key.String() })
	}
	return hold
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

// holdPoll is how often a lane looks whether it may go on that waits for what has no
// event of its own.
const holdPoll = 500 * time.Millisecond

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
	for _, e := range w.table.Load().all() {
		do("flusher", e.name(), &e.guard)
	}
	for _, l := range w.laneList() {
		do("lane", l.entry.name()+" "+l.key.String(), &l.guard)
	}
}
