package worker

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
)

// Table is what a running worker can take over: where keys go, and how it ends.
type Table struct {
	Routes    []Route
	Removed   Removal       // what becomes of entries that are no longer there and hold parts
	Drain     time.Duration // as Config.Drain; 0: as it is
	StopAfter int           // as DeadLetter.StopAfter; 0: as it is
}

// Removal is what becomes of the parts of an entry that a reload removes.
type Removal string

// The values of Removal.
const (
	RemovedRefuse     Removal = ""            // the reload is refused while it holds any
	RemovedDrain      Removal = "drain"       // they are delivered, for as long as it takes; no new ones come
	RemovedDeadLetter Removal = "dead_letter" // they become dead letters with the reason unknown_target
	RemovedPark       Removal = "park"        // they are parked, and stay until the entry is back
)

// Changes is what a reload did. Entries are named route/flusher.
type Changes struct {
	Added     []string `json:"added,omitempty"`
	Changed   []string `json:"changed,omitempty"` // their lanes go on with new instances
	Removed   []string `json:"removed,omitempty"`
	Unchanged []string `json:"unchanged,omitempty"` // their lanes notice nothing
	Rerouted  []string `json:"rerouted,omitempty"`  // routes that match other keys now, or stand elsewhere among the others
}

// ErrStopping is why a worker that stops, or has stopped, takes over nothing.
var ErrStopping = errors.New("nothing was changed: the worker is stopping")

// HeldError refuses a reload that removes entries which hold parts.
type HeldError struct{ Entries []Held }

// Held is an entry and how many parts it holds.
type Held struct {
	Name  string // route/flusher
	Parts int
}

func (e *HeldError) Error() string {
	var all []string
	for _, h := range e.Entries {
		all = append(all, fmt.Sprintf("%s holds %d parts", h.Name, h.Parts))
	}
	return "nothing was changed: the new configuration has no " + strings.Join(all, ", no ") +
		"; say what becomes of them with `removed: drain`, `removed: dead_letter` or `removed: park`, or reload when they are delivered"
}

// Reload takes over another table without a stop. An entry is known by its route's
// and its own name. What is unchanged goes on as if nothing had happened; lanes of a
// changed entry go on with an instance of the new kind when the old one has stopped;
// other matches apply to messages that are taken in from now on. On an error nothing
// was changed. Reload does not wait for lanes: a kind that cannot begin is the state
// of its lanes. Safe from any goroutine; calls follow each other.
func (w *Worker) Reload(next Table) (*Changes, error) {
	w.reloading.Lock()
	defer w.reloading.Unlock()
	if w.urgent.Load() {
		return nil, ErrStopping
	}
	if err := checkRoutes(next.Routes); err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	if err := w.only.check(next.Routes); err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	if next.Removed == RemovedDeadLetter && w.letters.sink == nil {
		return nil, errors.New("nothing was changed: `removed: dead_letter` needs a dead letter queue, and dead_letter is none")
	}
	if next.Removed == RemovedPark && w.cfg.Parked == nil {
		return nil, errors.New("nothing was changed: `removed: park` needs a companion to park on, and this worker has none")
	}
	r := w.planReload(&next)
	w.mu.Lock()
	lanes, err := r.applyLocked(next.Removed)
	w.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if next.Drain > 0 {
		w.drainFor.Store(int64(next.Drain))
	}
	if next.StopAfter > 0 {
		w.stopAfter.Store(int64(next.StopAfter))
	}
	r.rouse(lanes)
	w.reap()
	return &r.changes, nil
}

// reload is one of them on its way.
type reload struct {
	w       *Worker
	table   *table
	newer   map[*entry]*version // of entries that changed or came back
	removed []*entry
	changes Changes
}

// planReload compares; nothing is changed yet.
func (w *Worker) planReload(next *Table) *reload {
	old := w.table.Load()
	r := &reload{w: w, table: &table{}, newer: map[*entry]*version{}}
	known := map[string]*entry{}
	for _, e := range old.all() {
		known[e.name()] = e
	}
	for i := range next.Routes {
		r.table.routes = append(r.table.routes, newRoute(&next.Routes[i], func(route string, cfg Entry) *entry {
			e := known[route+"/"+cfg.Name]
			if e == nil {
				e = newEntry(w, route, cfg)
				r.changes.Added = append(r.changes.Added, e.name())
				return e
			}
			delete(known, e.name())
			r.compare(e, cfg)
			return e
		}))
	}
	for _, e := range old.all() { // in the order of the old table
		if known[e.name()] == nil {
			continue
		}
		r.table.leaving = append(r.table.leaving, e)
		if !e.isLeaving() {
			r.removed = append(r.removed, e)
			r.changes.Removed = append(r.changes.Removed, e.name())
		}
	}
	r.changes.Rerouted = rerouted(old.routes, r.table.routes)
	return r
}

// compare finds out what becomes of an entry that is in both tables. One that comes
// back while it leaves is the same entry, with what it still holds and what it has
// counted; its instances were told that they end, so it goes on with new ones.
func (r *reload) compare(e *entry, cfg Entry) {
	switch was := e.newest.Load(); {
	case e.isLeaving():
		r.changes.Added = append(r.changes.Added, e.name())
	case was.same(&cfg):
		r.changes.Unchanged = append(r.changes.Unchanged, e.name())
		return
	default:
		r.changes.Changed = append(r.changes.Changed, e.name())
	}
	r.newer[e] = &version{cfg}
}

func (v *version) same(cfg *Entry) bool {
	return v.Digest != "" && v.Digest == cfg.Digest && v.Kind.Name == cfg.Kind.Name && v.Batch == cfg.Batch && v.Rate == cfg.Rate &&
		v.RetryInitial == cfg.RetryInitial && v.RetryMax == cfg.RetryMax && v.FlushTimeout == cfg.FlushTimeout
}

// rerouted names routes of both tables that match otherwise, or stand in another
// order among those that are in both.
func rerouted(old, now []*route) []string {
	rank := func(of, among []*route) map[string]int {
		at := map[string]int{}
		for _, r := range of {
			if slices.ContainsFunc(among, func(o *route) bool { return o.name == r.name }) {
				at[r.name] = len(at)
			}
		}
		return at
	}
	was, is := rank(old, now), rank(now, old)
	match := map[string][3]pattern{}
	for _, r := range old {
		match[r.name] = r.match
	}
	var names []string
	for _, r := range now {
		if m, both := match[r.name]; both && (m != r.match || was[r.name] != is[r.name]) {
			names = append(names, r.name)
		}
	}
	return names
}

// applyLocked publishes the table and says which lanes have to look. The worker's
// lock is held: no lane comes or goes between the count and the change.
func (r *reload) applyLocked(removal Removal) ([]*lane, error) {
	if removal == RemovedRefuse {
		if held := r.heldLocked(); len(held) > 0 {
			return nil, &HeldError{held}
		}
	}
	for e, v := range r.newer {
		e.newest.Store(v)
		e.leaving.Store(staying)
	}
	for _, e := range r.table.leaving {
		if removal != RemovedRefuse || !e.isLeaving() {
			e.leaving.Store(leavingAs(removal))
		}
	}
	r.table.setPolicies()
	failpoint.Hit(failpoint.ReloadSwap)
	r.w.table.Store(r.table)
	var lanes []*lane
	for id, l := range r.w.lanes {
		if r.newer[id.entry] != nil || id.entry.isLeaving() {
			lanes = append(lanes, l)
		}
	}
	return lanes, nil
}

func (r *reload) heldLocked() []Held {
	parts := map[*entry]int{}
	for id, l := range r.w.lanes {
		if slices.Contains(r.removed, id.entry) {
			l.mu.Lock()
			parts[id.entry] += len(l.liveLocked())
			l.mu.Unlock()
		}
	}
	var held []Held
	for _, e := range r.removed {
		if parts[e] > 0 {
			held = append(held, Held{e.name(), parts[e]})
		}
	}
	return held
}

// rouse has lanes look at what became of their entry: those of one that leaves if
// they have something to do, those of a changed one also to stop what is open.
func (r *reload) rouse(lanes []*lane) {
	var run []*lane
	for _, l := range lanes {
		run = l.rouse(run, r.newer[l.entry] != nil)
	}
	r.w.runners.schedule(run)
	for _, e := range r.table.leaving {
		if e.leaving.Load() == expelling {
			r.w.letters.releaseOf(e)
		}
	}
}
