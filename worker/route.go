package worker

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9_-]{1,48}$`)

// route is a configured rule: which keys, which flusher entries.
type route struct {
	name    string
	match   [3]pattern // project, logstore, config
	entries []*entry
	park    time.Duration // 0: it waits
	strict  bool
}

// checkRoutes checks what the engine relies on; package configs says it better and
// earlier to people.
func checkRoutes(cfg []Route) error {
	if len(cfg) == 0 {
		return fmt.Errorf("no routes: nothing could be delivered")
	}
	seen := map[string]bool{}
	for i := range cfg {
		c := &cfg[i]
		if !nameRule.MatchString(c.Name) || seen[c.Name] {
			return fmt.Errorf("route %d: the name %q must match %s and be unique", i, c.Name, nameRule)
		}
		seen[c.Name] = true
		if len(c.Flushers) == 0 {
			return fmt.Errorf("route %s: no flushers", c.Name)
		}
		names := map[string]bool{}
		for j := range c.Flushers {
			e := &c.Flushers[j]
			if !nameRule.MatchString(e.Name) || names[e.Name] {
				return fmt.Errorf("route %s: the flusher name %q must match %s and be unique", c.Name, e.Name, nameRule)
			}
			names[e.Name] = true
			if e.New == nil {
				return fmt.Errorf("route %s, flusher %s: no constructor", c.Name, e.Name)
			}
		}
	}
	return nil
}

// newRoute is a route that goes to entries that live already, or begin to.
func newRoute(cfg *Route, entry func(route string, cfg Entry) *entry) *route {
	r := &route{name: cfg.Name, match: patterns(cfg.Match), strict: cfg.Strict}
	if cfg.Park {
		r.park = cfg.ParkAfter
		def(&r.park, 10*time.Second)
	}
	for j := range cfg.Flushers {
		r.entries = append(r.entries, entry(cfg.Name, cfg.Flushers[j].withDefaults()))
	}
	return r
}

// Matches says whether a key matches.
func (m Match) Matches(project, logstore, config string) bool {
	of := patterns(m)
	return matches(&of, project, logstore, config)
}

func patterns(m Match) [3]pattern {
	return [3]pattern{newPattern(m.Project), newPattern(m.Logstore), newPattern(m.Config)}
}

func matches(of *[3]pattern, project, logstore, config string) bool {
	return of[0].matches(project) && of[1].matches(logstore) && of[2].matches(config)
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

// version is one configuration of a flusher entry. A reload that changes the entry
// makes a newer one, which lanes adopt between two calls.
type version struct{ Entry }

// entry is one flusher of a route, which are its identity: its lanes share a wheel,
// limits and counters, whatever reloads change about it.
type entry struct {
	route, flusher string
	w              *Worker
	wheel          *wheel

	newest  atomic.Pointer[version]
	leaving atomic.Int32 // staying, draining, expelling or shelving

	parkAfter atomic.Int64 // a time.Duration; 0: its route waits
	strict    atomic.Bool  // its route keeps the order
	limiter   limiter

	work      atomic.Int64 // bytes of the work pool its calls hold
	abandoned atomic.Int32 // calls that outlasted their limit and have not returned
	guard     guard
	errors    [errorClasses]atomic.Int64
	taken     atomic.Uint64 // Flush calls that succeeded, in part at least
	firsts    reliability
	hung      atomic.Int64 // batches that were abandoned for the first time
	repeated  atomic.Int64 // groups of batches that were cut
	seconds   *histogram

	slow       atomic.Bool // the last lane whose calls were judged was slow
	complaints complaints
	batches    sync.Pool // of *batch that nobody refers to

	mu       sync.Mutex
	retired  []tally                    // by source: what lanes that were stopped had counted
	stopping map[protocol.Key]*instance // of lanes that are gone

	inLine []*lane // for work bytes; under the work pool's lock
}

func newEntry(w *Worker, route string, cfg Entry) *entry {
	e := &entry{route: route, flusher: cfg.Name, w: w}
	e.newest.Store(&version{cfg})
	e.wheel = newWheel(w.runners.wake)
	e.seconds = &histogram{}
	return e
}

// name is route/flusher, as in x-flushline-to.
func (e *entry) name() string { return e.route + "/" + e.flusher }
