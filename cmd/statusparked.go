package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// parkedLine is a lane that parks, or for which something is parked.
type parkedLine struct {
	lane  queue.Lane
	park  *worker.ParkStatus // nil: it does not park, or it is not among those shown
	there int64              // records at the broker; -1: it does not count them by lane
	since time.Time
	place string
}

// parkedTable shows lane by lane what is parked and what comes of it.
func parkedTable(t *table, s *worker.Status) {
	lines := parkedLines(s)
	for i, l := range lines[:min(len(lines), blockedRows)] {
		if i == 0 {
			t.head("PARKED LANE", "FLUSHER", "PHASE", "SINCE", "NEXT PROBE", "PARKED", "OLDEST", "PLACE")
		}
		phase, since, probe := phaseOf(s, &l), "-", "-"
		if l.park != nil {
			since, probe = ago(s.Now, l.park.Since), until(s.Now, l.park.NextProbe)
		}
		there := "-"
		if l.there >= 0 {
			there = number(l.there)
		}
		t.row(keyOf(l.lane), printable(l.lane.Entry()), phase, since, probe, there, ago(s.Now, l.since), printable(l.place))
	}
	if rest := len(lines) - blockedRows; rest > 0 {
		t.line(fmt.Sprintf("and %s more; `flushline parked ls -c FILE` lists what is parked", number(int64(rest))))
	}
	for i := range s.Companions {
		c := &s.Companions[i]
		if c.Error != "" {
			t.line(fmt.Sprintf("what is parked beside %s is known from %s ago: %s", printable(c.Source), ago(s.Now, c.Asked), printable(c.Error)))
		}
	}
}

// phaseOf says in a word what becomes of what is parked for a lane.
func phaseOf(s *worker.Status, l *parkedLine) string {
	known := slices.ContainsFunc(s.Flushers, func(f worker.FlusherStatus) bool {
		return f.Route == l.lane.Route && f.Flusher == l.lane.Flusher && f.Leaving == ""
	})
	switch {
	case l.park != nil:
		return l.park.Phase
	case !known:
		return "unknown flusher: it stays"
	}
	return "being served"
}

// parkedLines joins what lanes of this process do with what the brokers hold, the most
// first.
func parkedLines(s *worker.Status) []parkedLine {
	var lines []parkedLine
	at := map[queue.Lane]int{}
	for i := range s.Lanes {
		if l := &s.Lanes[i]; l.Park != nil {
			lane := queue.Lane{Route: l.Route, Flusher: l.Flusher, Project: l.Project, Logstore: l.Logstore, Config: l.Config}
			at[lane] = len(lines)
			lines = append(lines, parkedLine{lane: lane, park: l.Park, there: -1})
		}
	}
	for i := range s.Companions {
		for k := range s.Companions[i].Lanes {
			p := &s.Companions[i].Lanes[k]
			lane := queue.Lane{Route: p.Route, Flusher: p.Flusher, Project: p.Project, Logstore: p.Logstore, Config: p.Config}
			j, ok := at[lane]
			if !ok || lines[j].place != "" {
				j = len(lines)
				lines = append(lines, parkedLine{lane: lane})
				if ok {
					lines[j].park = lines[at[lane]].park
				}
			}
			lines[j].there, lines[j].since, lines[j].place = p.Messages, p.Oldest, p.Place
		}
	}
	slices.SortStableFunc(lines, func(a, b parkedLine) int { return cmp.Compare(b.there, a.there) })
	return lines
}
