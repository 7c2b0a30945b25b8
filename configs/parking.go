package configs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// Parks says whether a worker by this file may have to park: a route does, or a reload
// that removes a flusher.
func (c *Config) Parks() bool {
	return c.Removed == string(worker.RemovedPark) || slices.ContainsFunc(c.Routes, func(r Route) bool { return r.Parks() })
}

// Parked lists the flusher entries toward which records may be parked: those of routes
// that park and, with removed: park, all. Only Route and Flusher of each are set.
func (c *Config) Parked() []queue.Lane {
	if c.Removed == string(worker.RemovedPark) {
		return c.Entries()
	}
	return c.entries(func(r *Route) bool { return r.Parks() })
}

// Entries lists all flusher entries. Only Route and Flusher of each are set.
func (c *Config) Entries() []queue.Lane { return c.entries(func(*Route) bool { return true }) }

func (c *Config) entries(of func(*Route) bool) []queue.Lane {
	var all []queue.Lane
	for i := range c.Routes {
		r := &c.Routes[i]
		for j := range r.Flushers {
			if of(r) {
				all = append(all, queue.Lane{Route: r.Name, Flusher: r.Flushers[j].Name})
			}
		}
	}
	return all
}

// Strict says whether a route keeps the order of the source.
func (c *Config) Strict() bool {
	return slices.ContainsFunc(c.Routes, func(r Route) bool { return r.Strict })
}

// parking checks what a route says about it by itself.
func (l *loader) parking(n *option.Node, path string, r *Route) {
	if at := given(n, "park_after"); at != (option.Pos{}) && !r.Parks() {
		l.errorf(at, path+".park_after", "write when_blocked: park, or remove the line", "park_after means nothing while the route waits")
	}
	if r.Strict && r.Parks() {
		l.errorf(n.Place(n.Pos, "when_blocked"), path+".when_blocked", "write when_blocked: wait, or remove order",
			"when_blocked: park breaks the order that order: strict keeps: what is parked comes after what is newer")
	}
}

// needsCompanion refuses parking where there is nothing beside the source.
func (l *loader) needsCompanion(root *option.Node, start option.Pos, c *Config) {
	if c.Source.File == nil {
		return
	}
	const why = "files have no queue beside them to park on, and a job never parks: it waits for its destinations"
	for i := range c.Routes {
		if n := l.routeNode(root, i); n != nil && c.Routes[i].Parks() {
			l.errorf(n.Place(n.Pos, "when_blocked"), "routes."+c.Routes[i].Name+".when_blocked", "write when_blocked: wait", "when_blocked: park cannot be done: %s", why)
		}
	}
	if c.Removed == string(worker.RemovedPark) {
		l.errorf(root.Place(start, "removed"), "removed", "write drain or dead_letter", "removed: park cannot be done: %s", why)
	}
}

// routeNode is where the route with this index stands.
func (l *loader) routeNode(root *option.Node, index int) *option.Node {
	if p := root.Get("routes"); p != nil && index < len(p.Value.Items) {
		return p.Value.Items[index]
	}
	return nil
}

// strictOrder has the source keep it: a consumer of NATS hands out what was given back
// behind what is newer, unless one message at a time is out.
func (l *loader) strictOrder(root *option.Node, c *Config) {
	if !c.Strict() {
		return
	}
	switch {
	case c.Source.NATS != nil:
		c.Source.NATS.Strict = true
	case c.Source.Embedded != nil:
		c.Source.Embedded.Strict = true
	default:
		return
	}
	for i := range c.Routes {
		if n := l.routeNode(root, i); n != nil && !c.Routes[i].Strict {
			l.warnf(n.Pos, "routes."+c.Routes[i].Name, "read its subjects with a consumer of their own, in a worker of their own",
				"route %s shares a consumer that hands out one message at a time, because another route has order: strict", c.Routes[i].Name)
			return
		}
	}
}

// sharedStrand warns once when several destinations wait for each other and the file
// does not say that this is meant.
func (l *loader) sharedStrand(root *option.Node, c *Config) {
	var waiting []string
	at := -1
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Parks() {
			continue
		}
		for j := range r.Flushers {
			waiting = append(waiting, r.Name+"/"+r.Flushers[j].Name)
		}
		if n := l.routeNode(root, i); at < 0 && len(r.Flushers) > 0 && !r.Strict && n != nil && n.Get("when_blocked") == nil {
			at = i
		}
	}
	if len(waiting) < 2 || at < 0 {
		return
	}
	hint := "write when_blocked: park in the route to keep the others going, or when_blocked: wait if that is meant"
	if c.Source.File != nil {
		hint = "write when_blocked: wait in the route if that is meant"
	}
	n := l.routeNode(root, at)
	l.warnf(n.Place(n.Pos, "flushers"), "routes", hint,
		"%s share one source: when one of them is blocked long enough to fill a strand's window, the others wait too", someOf(waiting))
}

// someOf lists the first few of many names.
func someOf(names []string) string {
	const most = 4
	switch n := len(names); {
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}
