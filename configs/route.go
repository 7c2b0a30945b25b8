package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

var nameRule = regexp.MustCompile(`^[A-Za-z0-9_-]{1,48}$`)

const nameHint = "1 to 48 of A-Z, a-z, 0-9, _ and -"

// routeBlock is one element of `routes`.
type routeBlock struct {
	Name        string        `option:"name,required" help:"Identity in metrics and dead letters: letters, digits, _ and -." example:"all"`
	Match       Match         `option:"match" help:"Which keys; a part that is left out matches everything."`
	WhenBlocked string        `option:"when_blocked" enum:"wait,park" help:"What happens while a destination does not take data. wait: the strand pauses when its window is full; park: what waits is put on a queue beside the source and delivered when the destination is back."`
	ParkAfter   time.Duration `option:"park_after" min:"1s" max:"24h" help:"With when_blocked: park, how long a destination may take nothing before what waits for it is parked. 2s are enough while a consumer or partition is not read because of it."`
	Order       string        `option:"order" enum:"any,strict" help:"strict: one batch at a time, in the order of the source, tried again in place; what can never be delivered stops the lane. On NATS the consumer must hand out one message at a time."`
	Flushers    *option.Node  `option:"flushers,required" help:"Each gets every group that matches."`
}

func defaultRoute() *routeBlock {
	return &routeBlock{WhenBlocked: WhenBlockedWait, ParkAfter: 10 * time.Second, Order: "any", Match: Match{Project: "*", Logstore: "*", Config: "*"}}
}

// entryBlock is what every flusher entry has; all other keys are the kind's.
type entryBlock struct {
	Type          string        `option:"type,required" help:"The kind of destination: see flushline flushers ls." example:"stdout"`
	Name          string        `option:"name" help:"Identity in metrics and dead letters; default: the type."`
	Batch         Batch         `option:"batch" help:"When a batch is full."`
	Retry         Retry         `option:"retry" help:"Pauses after a failure."`
	Rate          Rate          `option:"rate" help:"Most that all lanes of this flusher may take in a second, in each worker; retries count, too."`
	FlushTimeout  time.Duration `option:"flush_timeout" min:"10ms" help:"How long one Flush may take."`
	AllowEnqueued bool          `option:"allow_enqueued" help:"Accept a kind that only hands data over: what it holds is lost with the process."`
}

func defaultEntry() *entryBlock {
	return &entryBlock{Retry: defaultRetry(), FlushTimeout: 20 * time.Second}
}

// ForeignKeys are what iLogtail's entries have.
func (e *entryBlock) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "Match", Why: "which groups come here is said by the route: match: {project: ..., logstore: ..., config: ...}", Refuse: true},
	}
}

// routes decodes the list `routes`.
func (l *loader) routes(n *option.Node, at option.Pos) []Route {
	var out []Route
	names := map[string]option.Pos{}
	for i, item := range l.list(n, at, "routes") {
		r := l.route(item, i)
		if r.Name != "" {
			l.unique(names, r.Name, "route", item.Place(item.Pos, "name"), "")
		}
		out = append(out, r)
	}
	l.shadowed(n, out)
	return out
}

// list is what must be a list with something in it.
func (l *loader) list(n *option.Node, at option.Pos, path string) []*option.Node {
	short := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case n.Kind == option.Broken:
	case n.Kind != option.List && n.Kind != option.Null:
		l.errorf(n.Pos, path, "begin each with a dash", "%s wants a list", short)
	case len(n.Items) == 0:
		l.errorf(at, path, "begin each with a dash", "%s is empty", short)
	}
	return n.Items
}

func (l *loader) unique(seen map[string]option.Pos, name, what string, pos option.Pos, hint string) {
	first, twice := seen[name]
	switch {
	case !nameRule.MatchString(name):
		l.errorf(pos, what, nameHint, "the %s name %q cannot be used", what, name)
	case twice:
		text := fmt.Sprintf("the %s name %q is taken", what, name)
		if first.Line > 0 {
			text += fmt.Sprintf(" in line %d", first.Line)
		}
		l.errorf(pos, what, hint, "%s", text)
	default:
		seen[name] = pos
	}
}

func (l *loader) route(n *option.Node, index int) Route {
	path := fmt.Sprintf("routes[%d]", index)
	if p := n.Get("name"); p != nil && p.Value.Text != "" && p.Value.Written == "" {
		path = "routes." + p.Value.Text
	}
	b := defaultRoute()
	l.decode(n, n.Pos, path, b)
	r := Route{Name: b.Name, Match: b.Match, WhenBlocked: b.WhenBlocked, ParkAfter: b.ParkAfter, Strict: b.Order == orderStrict, pos: n.Pos}
	l.parking(n, path, &r)
	if b.Flushers == nil {
		return r
	}
	names := map[string]option.Pos{}
	for i, item := range l.list(b.Flushers, n.Get("flushers").Pos, path+".flushers") {
		if e := l.entry(item, path, i); e != nil {
			l.unique(names, e.Name, "flusher", item.Place(item.Pos, "name"), "give each a name of its own: name: "+e.Name+"2")
			r.Flushers = append(r.Flushers, *e)
		}
	}
	return r
}

// entry decodes one flusher of a route; nil if its kind is not known.
func (l *loader) entry(n *option.Node, route string, index int) *Entry {
	kind := l.kind(n, route)
	path := fmt.Sprintf("%s.flushers[%d]", route, index)
	if p := n.Get("name"); p != nil && p.Value.Text != "" && p.Value.Written == "" {
		path = route + ".flushers." + p.Value.Text
	} else if kind != nil {
		path = route + ".flushers." + kind.Name
	}
	b := defaultEntry()
	if kind == nil {
		l.decode(onlyEngineKeys(l.flat(n, path)), n.Pos, path, b)
		return nil
	}
	flusher := kind.New()
	if !hasOption(flusher, detailKey) {
		n = l.flat(n, path)
	}
	ok := l.decode(n, n.Pos, path, b, flusher)
	if b.Name == "" {
		b.Name = kind.Name
	}
	e := &Entry{
		Name: b.Name, Kind: *kind, Batch: b.Batch, Retry: b.Retry, Rate: b.Rate, FlushTimeout: b.FlushTimeout,
		AllowEnqueued: b.AllowEnqueued, digest: digest(n), options: n, pos: n.Pos, path: path,
		flushTimeoutAt: given(n, "flush_timeout"), batchWaitAt: given(n, "batch.wait"),
	}
	if ok {
		e.Kind = kind.As(flusher)
	}
	if p, can := flusher.(flushers.Placed); can && ok {
		e.place.path, e.place.format = p.Place()
	}
	if ok {
		l.cutShort(e, flusher)
	}
	if kind.Durability == flushers.Enqueued && !b.AllowEnqueued {
		l.errorf(n.Place(n.Pos, "type"), path, "write allow_enqueued: true in the entry to accept that",
			"%s only hands data over: what it holds is lost with the process", kind.Name)
	}
	return e
}

// cutShort warns of a limit of the kind's own that the engine's makes useless.
func (l *loader) cutShort(e *Entry, f flushers.Flusher) {
	bounded, can := f.(flushers.Bounded)
	if !can {
		return
	}
	name, limit := bounded.Bound()
	if pos := givenOption(e.options, f, name); limit > e.FlushTimeout && pos != (option.Pos{}) {
		l.warnf(pos, e.path+"."+name, "lengthen flush_timeout, and drain.timeout with it, or shorten "+name,
			"%s %s is longer than flush_timeout %s, which ends a call first",
			name, option.FormatDuration(limit), option.FormatDuration(e.FlushTimeout))
	}
}

// givenOption is where an option of a kind stands, under whatever name; the zero Pos
// if it is not in the file.
func givenOption(n *option.Node, f flushers.Flusher, name string) option.Pos {
	for _, o := range option.Fields(f) {
		for _, spelling := range append([]string{o.Name}, o.Aliases...) {
			if p := n.Get(spelling); p != nil && o.Name == name {
				return p.Value.Pos
			}
		}
	}
	return option.Pos{}
}

func hasOption(f flushers.Flusher, name string) bool {
	return slices.ContainsFunc(option.Fields(f), func(o option.Field) bool { return o.Name == name })
}

// given is where a value stands, or the zero Pos if it is not in the file.
func given(n *option.Node, path string) option.Pos {
	for step := range strings.SplitSeq(path, ".") {
		p := n.Get(step)
		if p == nil {
			return option.Pos{}
		}
		n = p.Value
	}
	return n.Pos
}

// onlyEngineKeys is an entry of an unknown kind without what belongs to the kind.
func onlyEngineKeys(n *option.Node) *option.Node {
	known := &option.Node{Kind: n.Kind, Text: n.Text, Written: n.Written, Pos: n.Pos, Items: n.Items}
	for _, f := range option.Fields(defaultEntry()) {
		if p := n.Get(f.Name); p != nil {
			known.Pairs = append(known.Pairs, *p)
		}
	}
	return known
}
