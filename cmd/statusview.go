package cmd

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/flushline/flushline/worker"
)

// scope is how much of a snapshot is shown.
type scope struct {
	strands bool // each strand, however many there are
}

// printStatus writes a snapshot for people: what stopped and what is blocked
// comes before what flows.
func printStatus(w io.Writer, s *worker.Status, v scope) error {
	fmt.Fprintf(w, "flushline %s on %s, deployment %s: %s for %s\n",
		printable(s.Version), printable(s.Host), printable(s.Deployment), s.State, span(s.Now.Sub(s.Started)))
	configLines(w, s)
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	stoppedTable(t, s)
	pausedTable(t, s)
	blockedTable(t, s)
	suspectTable(t, s)
	parkedTable(t, s)
	strandTable(t, s, v)
	sourceTable(t, s)
	flusherTable(t, s)
	poolTable(t, s)
	if s.Defects > 0 {
		t.line("")
		t.line(fmt.Sprintf("%d second settlements: a defect of flushline, please report it", s.Defects))
	}
	return t.w.Flush()
}

// configLines say which configuration is in use, and why not a newer one.
func configLines(w io.Writer, s *worker.Status) {
	c := s.Config
	if c == nil {
		return
	}
	fmt.Fprintf(w, "configuration %s %s, loaded %s ago\n", printable(c.File), printable(c.Hash), ago(s.Now, c.Loaded))
	if c.LastError != "" {
		fmt.Fprintf(w, "the newest reload was refused %s ago: %s\n", ago(s.Now, c.LastErrorAt), printableLines(c.LastError))
	}
}

func pausedTable(t *table, s *worker.Status) {
	if len(s.Paused) == 0 {
		return
	}
	t.head("PAUSED", "SCOPE", "SINCE", "GOES ON WITH")
	for _, p := range s.Paused {
		t.row(printable(p.Name), p.Scope, ago(s.Now, p.Since), printable(p.FreedBy))
	}
}

type table struct{ w *tabwriter.Writer }

func (t *table) head(cells ...string) { t.line(""); t.row(cells...) }

func (t *table) row(cells ...string) { fmt.Fprintln(t.w, strings.Join(cells, "\t")) }

// line stands outside the columns.
func (t *table) line(s string) {
	_ = t.w.Flush() // its error stays and shows at the last Flush
	fmt.Fprintln(t.w, s)
	_ = t.w.Flush()
}

func stoppedTable(t *table, s *worker.Status) {
	if len(s.Stopped) == 0 {
		return
	}
	t.head("STOPPED", "SCOPE", "SINCE", "IN A ROW", "LAST ERROR")
	for _, g := range s.Stopped {
		t.row(printable(g.Name), g.Scope, ago(s.Now, g.Since), number(int64(g.Count)), printable(g.Last))
	}
	t.line("These dead-lettered everything. Mend the cause, then `flushline resume`.")
}

// blocked says whether a lane waits for something that is not the worker's own
// doing.
func blocked(state string) bool {
	switch state {
	case worker.LaneIdle, worker.LaneQueued, worker.LaneBatching, worker.LaneStarting, worker.LaneFlushing, worker.LaneRateLimited:
		return false
	}
	return true
}

func blockedTable(t *table, s *worker.Status) {
	shown := 0
	for i := range s.Lanes {
		l := &s.Lanes[i]
		if !blocked(l.State) || shown == blockedRows {
			continue
		}
		if shown == 0 {
			t.head("BLOCKED LANE", "FLUSHER", "STATE", "SINCE", "NEXT TRY", "PARTS", "WHY")
		}
		shown++
		t.row(printable(l.Project+"/"+l.Logstore+"/"+l.Config), printable(l.Route+"/"+l.Flusher), l.State,
			ago(s.Now, l.Since), until(s.Now, l.NextTry),
			number(int64(l.Parts))+" ("+size(l.Bytes)+")", printable(l.Why))
	}
	stuck, moving := laneCounts(s)
	switch {
	case shown == 0:
		t.line("")
		t.line("no lane is blocked")
	case stuck > int64(shown):
		t.line(fmt.Sprintf("and %s more blocked lanes; FLUSHER counts them by state", number(stuck-int64(shown))))
	}
	switch {
	case moving == 1:
		t.line("1 lane holds parts and moves")
	case moving > 1:
		t.line(number(moving) + " lanes hold parts and move")
	}
}

// blockedRows keeps a destination that is down from filling the screen with the
// same reason for each of its lanes.
const blockedRows = 20

// laneCounts counts all lanes that hold parts, also those beyond
// worker.MaxLanes.
func laneCounts(s *worker.Status) (stuck, moving int64) {
	for i := range s.Flushers {
		for state, n := range s.Flushers[i].Lanes {
			switch {
			case blocked(state):
				stuck += n
			case state != worker.LaneIdle:
				moving += n
			}
		}
	}
	return stuck, moving
}

func sourceTable(t *table, s *worker.Status) {
	t.head("SOURCE", "MESSAGES", "ACKED", "GIVEN BACK", "PARTS", "FLUSHED", "DEAD LETTERS", "PARKED", "SKIPPED", "RELEASED", "IN FLIGHT")
	for i := range s.Sources {
		src := &s.Sources[i]
		c := &src.Counts
		t.row(printable(src.Name), number(src.Messages), number(src.Acknowledged), number(src.Released),
			number(c.Received), number(c.Flushed), reasons(c.DeadLettered), number(c.Parked),
			reasons(c.Skipped), reasons(c.Released), number(c.InFlight))
	}
}

func flusherTable(t *table, s *worker.Status) {
	t.head("FLUSHER", "KIND", "FLUSHED", "IN FLIGHT", "DEAD LETTERS", "LANES", "FAILED CALLS")
	for i := range s.Flushers {
		f := &s.Flushers[i]
		name := printable(f.Route + "/" + f.Flusher)
		if f.Leaving != "" {
			name += " (removed: " + f.Leaving + ")"
		}
		t.row(name, f.Kind, number(f.Counts.Flushed), number(f.Counts.InFlight),
			reasons(f.Counts.DeadLettered), reasons(f.Lanes), reasons(f.Errors))
	}
}

func poolTable(t *table, s *worker.Status) {
	t.head("BYTES", "USED", "LIMIT", "WAITING")
	for _, pool := range s.Pools {
		t.row(pool.Name, size(pool.Used), size(pool.Limit), number(int64(pool.Waiting)))
	}
}

// reasons prints counts by name, the largest first: "12 idle, 3 backoff".
func reasons(m map[string]int64) string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(name string) bool { return m[name] == 0 })
	if len(names) == 0 {
		return "0"
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(m[b], m[a]) })
	for i, name := range names {
		names[i] = number(m[name]) + " " + printable(name)
	}
	return strings.Join(names, ", ")
}

func number(n int64) string {
	if n < 0 {
		return "?" // unknown, as in queue.Status
	}
	return humanize.Comma(n)
}

func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func ago(now, then time.Time) string {
	if then.IsZero() {
		return "-"
	}
	return span(now.Sub(then))
}

func until(now, then time.Time) string {
	switch d := then.Sub(now); {
	case then.IsZero():
		return "-"
	case d <= 0:
		return "now"
	default:
		return "in " + span(d)
	}
}

// span is a duration in its two largest units.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// printable keeps names and errors that came over the wire from moving the
// cursor or breaking a line of the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}
