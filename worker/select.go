package worker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Selection is the part of an input that is wanted. Groups that it leaves out are
// skipped as not_selected: neither delivered nor dead-lettered.
type Selection struct {
	Match   Match  // of keys; empty: all
	Route   string // the name of a route; empty: all
	Flusher string // "flusher" or "route/flusher"; empty: all
}

// selection is one that was checked.
type selection struct {
	match   [3]pattern
	route   string // empty: all
	flusher string // empty: all
}

// newSelection resolves what is wanted. Errors name what there is.
func newSelection(cfg Selection, routes []Route) (selection, error) {
	s := selection{route: cfg.Route, flusher: cfg.Flusher, match: patterns(cfg.Match)}
	if route, flusher, ok := strings.Cut(cfg.Flusher, "/"); ok {
		if s.route != "" && s.route != route {
			return s, fmt.Errorf("flusher %s is not one of route %s: name a flusher of that route, or leave one of both out", cfg.Flusher, s.route)
		}
		s.route, s.flusher = route, flusher
	}
	return s, s.check(routes)
}

func (s *selection) check(routes []Route) error {
	if s.route != "" {
		var names []string
		var named []Route
		for i := range routes {
			names = append(names, routes[i].Name)
			if routes[i].Name == s.route {
				named = append(named, routes[i])
			}
		}
		if len(named) == 0 {
			return unknown("route", s.route, names)
		}
		routes = named
	}
	if s.flusher == "" {
		return nil
	}
	var names []string
	for i := range routes {
		for j := range routes[i].Flushers {
			name := routes[i].Flushers[j].Name
			if name == s.flusher {
				return nil
			}
			names = append(names, name)
		}
	}
	what := "flusher"
	if s.route != "" {
		what = "flusher of route " + s.route
	}
	return unknown(what, s.flusher, names)
}

func unknown(what, name string, there []string) error {
	if near := option.Suggest(name, there); near != "" {
		return fmt.Errorf("there is no %s %q: did you mean %q?", what, name, near)
	}
	if len(there) == 0 {
		return fmt.Errorf("there is no %s %q", what, name)
	}
	return fmt.Errorf("there is no %s %q: there is %s", what, name, strings.Join(there, ", "))
}

// narrow says that some keys or routes are left out.
func (s *selection) narrow() bool { return s.route != "" || s.match != [3]pattern{} }

// wants says whether a key, which goes to r (nil: no route takes it), is wanted for any
// flusher.
func (s *selection) wants(key *protocol.Key, r *route) bool {
	return matches(&s.match, key.Project, key.Logstore, key.Config) && (s.route == "" || r != nil && r.name == s.route)
}

// leaveOut makes a part of a group that is not wanted. It ends with those of the
// other messages of the Fetch result.
func (s *strand) leaveOut(p *part) { s.unwanted = append(s.unwanted, p) }

// skipUnwanted ends them.
func (s *strand) skipUnwanted() {
	if len(s.unwanted) == 0 {
		return
	}
	b := &s.source.lost
	b.mu.Lock()
	b.of(s.source.index).received += int64(len(s.unwanted))
	for _, p := range s.unwanted {
		p.counted = true
		b.endLocked(p, skipped, SkippedNotSelected)
	}
	b.mu.Unlock()
	for _, p := range s.unwanted {
		p.m.partEnded(1)
	}
	clear(s.unwanted)
	s.unwanted = s.unwanted[:0]
}

var errDamaged = errors.New("the value is no whole message")

// damage is why a source says that a value is no whole message; nil: it does not.
func damage(header string, there bool) error {
	switch {
	case !there:
		return nil
	case header == "":
		return errDamaged
	}
	return errors.New(header)
}
