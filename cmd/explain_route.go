package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// The outcomes of an explanation that are no reason of a dead letter.
const (
	outcomeRouted  = "routed"
	outcomeSkipped = "skipped"
)

// explanation is what becomes of a key. Its JSON is the output of explain --json.
type explanation struct {
	File    string    `json:"file"`
	Key     []keyPart `json:"key"`
	Outcome string    `json:"outcome"`        // routed, skipped, or the reason of the dead letter: no_key, no_route, unknown_target
	Why     string    `json:"why,omitempty"`  // it is not routed
	Goes    string    `json:"goes,omitempty"` // where instead, and what comes of it

	Route   *routeView   `json:"route,omitempty"`
	Passed  []passedView `json:"passed"`            // routes before it, none of which matches
	Later   []routeName  `json:"later,omitempty"`   // routes behind it that match as well, and are not asked
	Closest []passedView `json:"closest,omitempty"` // no route: those that miss the least
	Notes   []string     `json:"notes,omitempty"`

	key protocol.Key
}

type routeName struct {
	Name string `json:"name"`
	At   string `json:"at,omitempty"` // file:line:col
}

// passedView is a route that does not match.
type passedView struct {
	routeName
	Misses []worker.Miss `json:"misses"`
}

// routeView is the route that takes the key.
type routeView struct {
	routeName
	Match       protocol.Key  `json:"match"`        // a pattern for each part
	WhenBlocked string        `json:"when_blocked"` // wait, park
	Blocked     string        `json:"blocked"`      // what happens then
	ParkAfter   string        `json:"park_after,omitempty"`
	Order       string        `json:"order"` // any, strict
	DeadLetters string        `json:"dead_letters"`
	Flushers    []flusherView `json:"flushers"`
}

// flusherView is one flusher that gets it.
type flusherView struct {
	routeName
	Kind         string `json:"kind"`
	Instance     string `json:"instance"` // as pause, status and the log name the lane
	Goes         string `json:"goes"`     // in the kind's words
	Does         string `json:"does"`
	Stored       string `json:"stored"` // what nil means
	Twice        string `json:"twice"`  // what becomes of data that comes twice
	Parked       string `json:"parked,omitempty"`
	Batch        string `json:"batch"`
	Retry        string `json:"retry"`
	Rate         string `json:"rate"`
	FlushTimeout string `json:"flush_timeout"`
}

// refuse says that no route gets it.
func (x *explanation) refuse(outcome, why, goes string) {
	x.Outcome, x.Why, x.Goes = outcome, why, goes
}

// find looks for the route.
func (x *explanation) find(cfg *configs.Config, m *queue.Message) {
	x.Passed = []passedView{}
	only, meant := m.Header(queue.HeaderTo)
	if deployment, _, _ := strings.Cut(only, "/"); meant && deployment != cfg.Source.Deployment() {
		x.refuse(outcomeSkipped, fmt.Sprintf("%s is for the deployment %q, and this is %q", queue.HeaderTo, deployment, cfg.Source.Deployment()),
			"nowhere: it is skipped as "+worker.SkippedNotOurs)
		return
	}
	if x.Outcome != "" {
		return
	}
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		misses := worker.Match(r.Match).Misses(x.key)
		name := routeName{r.Name, cfg.RouteAt(r)}
		switch {
		case len(misses) > 0 && x.Route == nil:
			x.Passed = append(x.Passed, passedView{name, misses})
		case len(misses) > 0:
		case x.Route == nil:
			x.Route = viewOf(cfg, r, x.key)
		default:
			x.Later = append(x.Later, name)
		}
	}
	if x.Route == nil {
		x.refuse(worker.ReasonNoRoute, "no route matches "+x.key.String(), ofLetters(cfg))
		x.Closest = closest(x.Passed)
		return
	}
	x.Outcome = outcomeRouted
	if meant {
		x.restrict(cfg, only)
	}
}

// restrict leaves the one flusher that x-flushline-to names.
func (x *explanation) restrict(cfg *configs.Config, only string) {
	_, target, _ := strings.Cut(only, "/")
	x.Route.Flushers = slices.DeleteFunc(x.Route.Flushers, func(f flusherView) bool { return x.Route.Name+"/"+f.Name != target })
	if len(x.Route.Flushers) == 0 {
		x.Route = nil
		x.refuse(worker.ReasonUnknownTarget, fmt.Sprintf("%s names %q, and %s does not go there", queue.HeaderTo, target, x.key), ofLetters(cfg))
		return
	}
	x.Notes = append(x.Notes, queue.HeaderTo+" restricts it to this flusher")
}

// closest are the routes that miss the least, and among those the ones whose patterns
// look like what was asked for.
func closest(passed []passedView) []passedView {
	const most = 3
	near := func(p *passedView) (n int) {
		for _, m := range p.Misses {
			if option.Suggest(m.Value, []string{m.Pattern}) != "" {
				n++
			}
		}
		return n
	}
	out := slices.Clone(passed)
	slices.SortStableFunc(out, func(a, b passedView) int {
		return cmp.Or(cmp.Compare(len(a.Misses), len(b.Misses)), cmp.Compare(near(&b), near(&a)))
	})
	return out[:min(len(out), most)]
}

func viewOf(cfg *configs.Config, r *configs.Route, key protocol.Key) *routeView {
	v := &routeView{
		routeName: routeName{r.Name, cfg.RouteAt(r)}, Match: protocol.Key(r.Match),
		WhenBlocked: r.WhenBlocked, Order: "any", DeadLetters: lettersOf(cfg),
	}
	switch {
	case r.Parks():
		v.ParkAfter = option.FormatDuration(r.ParkAfter)
		v.Blocked = "what its flusher does not take for " + v.ParkAfter + " is parked, acknowledged, and delivered when it is back; the others go on"
	case r.Strict:
		v.Blocked = "it waits, and is tried again in place; its strand stands when the window of " + number(int64(cfg.Limits.Window)) + " messages is full"
	default:
		v.Blocked = "it waits; its strand stands when the window of " + number(int64(cfg.Limits.Window)) + " messages is full, and with it all that comes the same way"
	}
	if r.Strict {
		v.Order = "strict"
	}
	for i := range r.Flushers {
		v.Flushers = append(v.Flushers, goesTo(cfg, r, &r.Flushers[i], key))
	}
	return v
}

func goesTo(cfg *configs.Config, r *configs.Route, e *configs.Entry, key protocol.Key) flusherView {
	f := e.New()
	v := flusherView{
		routeName: routeName{e.Name, cfg.EntryAt(e)}, Kind: e.Kind.Name,
		Instance: r.Name + "/" + e.Name + " " + key.String(), Does: f.Description(), Goes: "as its options say",
		Stored: e.Kind.Durability.String(), Twice: "stored " + repeats(&e.Kind),
		Batch: describeBatch(&e.Batch), Retry: option.FormatDuration(e.Retry.Initial) + " to " + option.FormatDuration(e.Retry.Max),
		Rate: describeRate(&e.Rate), FlushTimeout: option.FormatDuration(e.FlushTimeout),
	}
	if e.Kind.Docs.Stored != "" {
		v.Stored += behindColon(e.Kind.Docs.Stored)
	}
	switch f := f.(type) {
	case flushers.Located:
		v.Goes = f.Locate(key.Project, key.Logstore, key.Config)
	case flushers.Placed:
		if place, format := f.Place(); place != "" {
			v.Goes = place + ", " + format
		}
	}
	if r.Parks() {
		_, v.Parked = brokerOf(cfg).companions(queue.Lane{Route: r.Name, Flusher: e.Name, Project: key.Project, Logstore: key.Logstore, Config: key.Config})
	}
	return v
}

// describeRate is what all lanes of an entry may take in a second.
func describeRate(r *configs.Rate) string {
	var parts []string
	if r.Groups > 0 {
		parts = append(parts, number(int64(r.Groups))+" groups/s")
	}
	if r.Bytes > 0 {
		parts = append(parts, r.Bytes.String()+"/s")
	}
	if len(parts) == 0 {
		return "no limit"
	}
	return strings.Join(parts, ", ")
}

// ofLetters is what becomes of a dead letter.
func ofLetters(cfg *configs.Config) string {
	if cfg.DeadLetter.None {
		return "its strand stops at it: dead_letter is none"
	}
	return fmt.Sprintf("it is put on %s and acknowledged; %s in a row, with nothing delivered between, stop the source",
		lettersOf(cfg), number(int64(cfg.DeadLetter.StopAfter)))
}

// lettersOf is where dead letters go.
func lettersOf(cfg *configs.Config) string {
	if !lettersBeside(cfg) {
		return deadLetters(cfg)
	}
	place, _ := brokerOf(cfg).companions(queue.Lane{})
	return place
}
