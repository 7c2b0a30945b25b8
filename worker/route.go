package worker

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9_-]{1,48}$`)

// route is a configured rule: which keys, which flusher entries.
type route struct {
	name    string
	match   [3]pattern // project, logstore, config
	entries []*entry
}

// newRoutes checks what the engine relies on; package configs says it better and
// earlier to people.
func newRoutes(w *Worker, cfg []Route) ([]*route, error) {
	if len(cfg) == 0 {
		return nil, fmt.Errorf("no routes: nothing could be delivered")
	}
	var routes []*route
	seen := map[string]bool{}
	for i := range cfg {
		c := &cfg[i]
		if !nameRule.MatchString(c.Name) || seen[c.Name] {
			return nil, fmt.Errorf("route %d: the name %q must match %s and be unique", i, c.Name, nameRule)
		}
		seen[c.Name] = true
		r := &route{name: c.Name}
		for j, p := range [3]string{c.Match.Project, c.Match.Logstore, c.Match.Config} {
			r.match[j] = newPattern(p)
		}
		if len(c.Flushers) == 0 {
			return nil, fmt.Errorf("route %s: no flushers", c.Name)
		}
		for j := range c.Flushers {
			e := &c.Flushers[j]
			if !nameRule.MatchString(e.Name) || r.find(e.Name) != nil {
				return nil, fmt.Errorf("route %s: the flusher name %q must match %s and be unique", c.Name, e.Name, nameRule)
			}
			if e.New == nil {
				return nil, fmt.Errorf("route %s, flusher %s: no constructor", c.Name, e.Name)
			}
			r.entries = append(r.entries, newEntry(w, r, *e))
		}
		routes = append(routes, r)
	}
	return routes, nil
}

func (r *route) find(name string) *entry {
	for _, e := range r.entries {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func (r *route) matches(project, logstore, config string) bool {
	return r.match[0].matches(project) && r.match[1].matches(logstore) && r.match[2].matches(config)
}

// pattern is literal text, everything, or a glob.
type pattern struct {
	text string
	glob bool
}

func newPattern(s string) pattern {
	if s == "" || s == "*" {
		return pattern{}
	}
	if !strings.ContainsAny(s, "*?") {
		return pattern{text: s}
	}
	return pattern{text: literal.Replace(s), glob: true}
}

// literal takes from path.Match what a pattern here does not have: classes,
// escapes, and slashes that end a star.
var literal = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `/`, "\x00")

func (p pattern) matches(s string) bool {
	switch {
	case p.text == "":
		return true
	case !p.glob:
		return p.text == s
	case strings.Contains(s, "/"):
		s = strings.ReplaceAll(s, "/", "\x00")
	}
	ok, _ := path.Match(p.text, s) // its only error is a malformed pattern
	return ok
}

// errorClasses is how many classes of errors there are.
const errorClasses = flushers.ClassPanic + 1

// entry is one flusher of a route: its lanes share a wheel, limits and counters.
type entry struct {
	Entry
	route *route
	w     *Worker
	wheel *wheel

	work      atomic.Int64 // bytes of the work pool its calls hold
	abandoned atomic.Int32 // calls that outlasted their limit and have not returned
	guard     guard
	errors    [errorClasses]atomic.Int64
	seconds   *histogram

	slow       atomic.Bool // the last lane whose calls were judged was slow
	complaints complaints
	batches    sync.Pool // of *batch that nobody refers to

	mu       sync.Mutex
	retired  []tally                    // by source: what lanes that were stopped had counted
	stopping map[protocol.Key]*instance // of lanes that are gone

	inLine []*lane // for work bytes; under the work pool's lock
}

func newEntry(w *Worker, r *route, cfg Entry) *entry {
	e := &entry{Entry: cfg, route: r, w: w}
	e.wheel = newWheel(w.runners.wake)
	e.seconds = &histogram{}
	return e
}

// name is route/flusher, as in x-flushline-to.
func (e *entry) name() string { return e.route.name + "/" + e.Name }
