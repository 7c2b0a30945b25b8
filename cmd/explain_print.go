package cmd

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/worker"
)

// show writes an explanation for people: what takes the key comes first.
func (x *explanation) show(w io.Writer) error {
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	t.row("KEY", "VALUE", "FROM")
	for i := range x.Key {
		p := &x.Key[i]
		t.row(p.Part, orDash(printable(p.Value)), printable(p.From))
	}
	t.line("")
	switch {
	case x.Route != nil:
		t.line("route " + x.Route.String() + " takes it")
	case x.Outcome == outcomeSkipped:
		t.line("it is skipped: " + printable(x.Why))
	default:
		t.line("it becomes a dead letter (" + x.Outcome + "): " + printable(x.Why))
		t.line(printable(x.Goes))
	}
	if x.Route != nil {
		x.Route.show(t)
	}
	if len(x.Closest) > 0 {
		t.line("")
		t.line("the closest routes:")
		misses(t, x.Closest)
	} else if len(x.Passed) > 0 {
		t.line("")
		t.line("asked before, and not matching:")
		misses(t, x.Passed)
	}
	for _, r := range x.Later {
		t.line(fmt.Sprintf("route %s matches as well, and is not asked: the first that matches takes it", r.String()))
	}
	for _, n := range x.Notes {
		t.line(printable(n))
	}
	return t.w.Flush()
}

func (r *routeName) String() string {
	if r.At == "" {
		return r.Name
	}
	return r.Name + " (" + printable(r.At) + ")"
}

func (v *routeView) show(t *table) {
	t.row("  matches", fmt.Sprintf("project %s, logstore %s, config %s", printable(v.Match.Project), printable(v.Match.Logstore), printable(v.Match.Config)))
	t.row("  when blocked", v.WhenBlocked+": "+v.Blocked)
	t.row("  order", v.Order)
	t.row("  dead letters", printable(v.DeadLetters))
	for i := range v.Flushers {
		f := &v.Flushers[i]
		t.line("")
		t.line("flusher " + f.String() + ", " + f.Kind + ": " + f.Does)
		t.row("  goes to", printable(f.Goes))
		t.row("  instance", printable(f.Instance))
		t.row("  nil means", f.Stored)
		t.row("  what comes twice", "is "+f.Twice)
		if f.Parked != "" {
			t.row("  parked in", printable(f.Parked))
		}
		t.row("  batch", f.Batch)
		t.row("  retry", f.Retry+", for ever")
		t.row("  rate", f.Rate)
		t.row("  flush timeout", f.FlushTimeout)
	}
}

// misses says of each route which pattern did not match.
func misses(t *table, passed []passedView) {
	for i := range passed {
		p := &passed[i]
		var parts []string
		for _, m := range p.Misses {
			parts = append(parts, describeMiss(&m))
		}
		t.row("  "+p.String(), strings.Join(parts, "; "))
	}
}

func describeMiss(m *worker.Miss) string {
	text := fmt.Sprintf("%s %q does not match %q", m.Part, printable(m.Value), m.Pattern)
	if option.Suggest(m.Value, []string{m.Pattern}) != "" {
		text += ", which is close"
	}
	return text
}
