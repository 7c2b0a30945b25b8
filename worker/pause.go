package worker

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/protocol"
)

// Control is what people may ask of a running worker. All methods are safe at any
// time.
type Control interface {
	// Resume lets go on what stopped because it dead-lettered everything, and names
	// it.
	Resume() []string
	// Pause holds back what a target names until Unpause of the same target. A pause
	// outlives neither the process nor the entry it names.
	Pause(Target) error
	// Unpause says whether the target was paused.
	Unpause(Target) (bool, error)
	// Tap shows groups of a route, a flusher entry or a lane as they come.
	Tap(TapRequest) (*Tap, error)
}

var _ Control = (*Worker)(nil)

// Target is what a pause or a tap is about: a route, a flusher entry of it, a lane (an entry
// and all three parts of a key), or a strand and nothing else.
type Target struct {
	Route, Flusher            string
	Project, Logstore, Config string
	Strand                    string
}

// ErrTarget is in errors about a target that names nothing.
var ErrTarget = errors.New("wrong target")

func targetError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrTarget, fmt.Sprintf(format, args...))
}

func (t *Target) key() protocol.Key {
	return protocol.Key{Project: t.Project, Logstore: t.Logstore, Config: t.Config}
}

// check says what is wrong with a target by itself.
func (t *Target) check() error {
	key := t.key()
	switch {
	case t.Strand != "" && *t != (Target{Strand: t.Strand}):
		return targetError("a strand is named by itself")
	case t.Strand != "":
		return nil
	case t.Route == "":
		return targetError("name a route or a strand")
	case key == (protocol.Key{}):
		return nil
	case t.Flusher == "" || t.Project == "" || t.Logstore == "" || t.Config == "":
		return targetError("a lane is named by route, flusher, project, logstore and config")
	}
	return nil
}

// scope is route, flusher, lane or strand, and its name there.
func (t *Target) scope() (scope, name string) {
	switch {
	case t.Strand != "":
		return "strand", t.Strand
	case t.Project != "":
		key := t.key()
		return "lane", t.Route + "/" + t.Flusher + " " + key.String()
	case t.Flusher != "":
		return "flusher", t.Route + "/" + t.Flusher
	}
	return "route", t.Route
}

// String is scope and name: "route shop".
func (t Target) String() string {
	scope, name := t.scope()
	return scope + " " + name
}

// command is what lets it go on.
func (t *Target) command() string {
	var b strings.Builder
	b.WriteString("flushline resume")
	for _, f := range [...]struct{ flag, value string }{
		{"strand", t.Strand},
		{"route", t.Route},
		{"flusher", t.Flusher},
		{"project", t.Project},
		{"logstore", t.Logstore},
		{"config-name", t.Config},
	} {
		if f.value == "" {
			continue
		}
		if strings.ContainsFunc(f.value, func(r rune) bool { return !strings.ContainsRune(plainRunes, r) }) {
			f.value = strconv.Quote(f.value)
		}
		fmt.Fprintf(&b, " --%s %s", f.flag, f.value)
	}
	return b.String()
}

const plainRunes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./"

func (t *Target) holdsEntry(e *entry) bool {
	return t.Strand == "" && t.Route == e.route && (t.Flusher == "" || t.Flusher == e.flusher)
}

func (t *Target) holdsLane(l *lane) bool { return t.holds(l.entry, &l.key) }

func (t *Target) holds(e *entry, key *protocol.Key) bool {
	return t.holdsEntry(e) && (t.Project == "" || t.key() == *key)
}

// pause is one that somebody asked for.
type pause struct {
	Target
	since time.Time
}

// Pause implements Control. Pausing what is paused changes nothing.
func (w *Worker) Pause(t Target) error {
	if err := t.check(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.knownLocked(&t); err != nil {
		return err
	}
	all := w.pauseList()
	if slices.ContainsFunc(all, func(p pause) bool { return p.Target == t }) {
		return nil
	}
	all = append(all, pause{t, time.Now()})
	w.pauses.Store(&all)
	for _, s := range w.strands {
		if s.info.Name == t.Strand {
			s.cutFetch()
			poke(s.wake) // one whose window is full says so, too
		}
	}
	return nil
}

// Unpause implements Control.
func (w *Worker) Unpause(t Target) (bool, error) {
	if err := t.check(); err != nil {
		return false, err
	}
	return w.dropPause(func(p *pause) bool { return p.Target == t }), nil
}

// dropPauses ends those of entries that are gone, so that one of the same name does
// not begin paused. A route's lasts as long as the route.
func (w *Worker) dropPauses(gone []*entry) {
	for _, e := range gone {
		w.dropPause(func(p *pause) bool {
			return p.holdsEntry(e) && !slices.ContainsFunc(w.table.Load().all(), p.holdsEntry)
		})
	}
}

func (w *Worker) dropPause(drop func(*pause) bool) bool {
	w.mu.Lock()
	all := w.pauseList()
	kept := slices.DeleteFunc(all, func(p pause) bool { return drop(&p) })
	dropped := len(kept) < len(all)
	if len(kept) > 0 {
		w.pauses.Store(&kept)
	} else {
		w.pauses.Store(nil)
	}
	strands := append([]*strand(nil), w.strands...)
	w.mu.Unlock()
	if dropped {
		w.wakeLanes()
		for _, s := range strands {
			poke(s.wake)
		}
	}
	return dropped
}

// pauseList is a copy.
func (w *Worker) pauseList() []pause {
	if all := w.pauses.Load(); all != nil {
		return slices.Clone(*all)
	}
	return nil
}

// knownLocked says whether a target exists; a lane may still have to come.
func (w *Worker) knownLocked(t *Target) error {
	var names []string
	if t.Strand != "" {
		for _, s := range w.strands {
			if s.info.Name == t.Strand {
				return nil
			}
			names = append(names, s.info.Name)
		}
		return targetError("there is no strand %q; there are %s", t.Strand, some(names))
	}
	for _, e := range w.table.Load().all() {
		if t.holdsEntry(e) {
			return nil
		}
		names = append(names, e.name())
	}
	if t.Flusher != "" {
		return targetError("there is no flusher %s/%s; there are %s", t.Route, t.Flusher, some(names))
	}
	return targetError("there is no route %q; there are %s", t.Route, some(names))
}

// some keeps a list short that is meant to help.
func some(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	if rest := len(names) - most; rest > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", rest)
	}
	return strings.Join(names, ", ")
}

// paused keeps a lane waiting that somebody paused; what is inside a call ends. True:
// so it is, and the token is elsewhere.
func (l *lane) paused() bool {
	p := l.w.pauseOf(func(p *pause) bool { return p.holdsLane(l) })
	if p == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		l.scheduled = false
		return true
	}
	if !l.idleLocked(l.ended) {
		l.waitLocked(paused, p.why(), holdPoll)
	}
	return true
}

// pausedBy is why the strand is not fetched, or nil.
func (s *strand) pausedBy() *pause {
	return s.w.pauseOf(func(p *pause) bool { return p.Strand == s.info.Name })
}

func (w *Worker) pauseOf(holds func(*pause) bool) *pause {
	all := w.pauses.Load()
	if all == nil {
		return nil
	}
	for i := range *all {
		if p := &(*all)[i]; holds(p) {
			return p
		}
	}
	return nil
}

func (p *pause) why() string {
	scope, name := p.scope()
	return scope + " " + name + " was paused; `" + p.command() + "` lets it go on"
}

// PauseStatus is something that somebody paused.
type PauseStatus struct {
	Scope   string    `json:"scope"` // route, flusher, lane, strand
	Name    string    `json:"name"`
	Since   time.Time `json:"since"`
	FreedBy string    `json:"freed_by"` // the command
}

func (w *Worker) pauseStatus() []PauseStatus {
	var out []PauseStatus
	for _, p := range w.pauseList() {
		scope, name := p.scope()
		out = append(out, PauseStatus{scope, name, p.since, p.command()})
	}
	return out
}
