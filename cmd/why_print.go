package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/flushline/flushline/internal/why"
	"github.com/flushline/flushline/worker"
)

// perCause is how many strands or lanes of one cause are listed.
const perCause = 5

// printWhy writes a report for people.
func printWhy(w io.Writer, r *why.Report, all bool) error {
	fmt.Fprintf(w, "flushline %s on %s, deployment %s: %s\n", printable(r.Version), printable(r.Host), printable(r.Deployment), r.State)
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	if len(r.Causes) == 0 {
		t.line("nothing stands")
	}
	most := perCause
	if all {
		most = why.MaxShown
	}
	for i := range r.Causes {
		c := &r.Causes[i]
		t.line("")
		t.line(headOf(r.Now, c))
		if c.Why != "" {
			t.line("  because  " + printable(c.Why))
		}
		t.line("  free it  " + printable(c.FreedBy))
		strandsOf(t, r.Now, c, most)
		lanesOf(t, r.Now, c, most)
	}
	t.line("")
	movesOf(t, r)
	return t.w.Flush()
}

// headOf says in a line what stands, in which state, since when.
func headOf(now time.Time, c *why.Cause) string {
	name, since := printable(c.Name), ""
	if !c.Since.IsZero() {
		since = " for " + ago(now, c.Since)
	}
	state := c.State
	if c.Phase != "" {
		state += ", " + c.Phase
	}
	switch c.Kind {
	case why.KindStrand:
		if c.Count > 1 {
			return fmt.Sprintf("STRANDS %s and %s more: %s%s", name, number(c.Count-1), state, since)
		}
		return fmt.Sprintf("STRAND %s: %s%s", name, state, since)
	case why.KindLane:
		return fmt.Sprintf("%s toward %s: %s%s", strings.ToUpper(counted(int(c.Count), "lane")), name, state, since)
	case why.KindStopped:
		return fmt.Sprintf("STOPPED %s: %s in a row became dead letters%s", name, number(c.Count), since)
	case why.KindParked:
		return fmt.Sprintf("PARKED for %s: %s%s", name, countedRecords(c.Count), since)
	}
	return fmt.Sprintf("PAUSED %s%s", name, since)
}

func strandsOf(t *table, now time.Time, c *why.Cause, most int) {
	for i := range c.Strands[:min(len(c.Strands), most)] {
		if i == 0 {
			t.row("  STRAND", "SINCE", "COMMITTED", "NEWEST", "END", "BEHIND", "HELD", "OLDEST")
		}
		s := &c.Strands[i]
		oldest := orDash(strings.Join(s.BlockedBy, ", "))
		if s.Unended != nil {
			oldest = messageOf(now, s.Unended)
			if s.Unended.Lane != "" {
				oldest += ", held by " + s.Unended.Lane + " (" + s.Unended.State + ")"
			}
		}
		t.row("  "+printable(s.Name), ago(now, s.Since), place(s.Committed, s.Behind), place(s.Position, s.Behind), place(s.End, s.Behind),
			number(s.Behind), number(s.Held)+" ("+size(s.HeldBytes)+")", printable(oldest))
	}
	more(t, c.Count, len(c.Strands), most)
}

func lanesOf(t *table, now time.Time, c *why.Cause, most int) {
	for i := range c.Lanes[:min(len(c.Lanes), most)] {
		if i == 0 {
			t.row("  LANE", "SINCE", "ATTEMPT", "BATCH", "NEXT TRY", "PARTS", "PARKED", "BEHIND", "OLDEST")
		}
		l := &c.Lanes[i]
		attempt, batch, next, oldest := "-", "-", until(now, l.NextTry), "-"
		if l.Attempt > 0 {
			attempt = number(int64(l.Attempt))
		}
		if l.Batch != nil {
			batch = number(int64(l.Batch.Groups)) + " (" + size(l.Batch.Bytes) + ")"
		}
		if l.Call != nil {
			next = l.Call.Method + " runs for " + ago(now, l.Call.Since)
		}
		if l.Unended != nil {
			oldest = messageOf(now, l.Unended) + " of " + l.Unended.Strand
		}
		behind := "-"
		if l.Unended != nil {
			behind = number(l.Behind)
		}
		t.row("  "+printable(l.Project+"/"+l.Logstore+"/"+l.Config), ago(now, l.Since), attempt, batch, next,
			number(int64(l.Parts))+" ("+size(l.Bytes)+")", number(l.Parked), behind, printable(oldest))
	}
	if c.Kind == why.KindLane {
		more(t, c.Count, len(c.Lanes), most)
	}
}

func more(t *table, count int64, listed, most int) {
	if rest := count - int64(min(listed, most)); listed > 0 && rest > 0 {
		t.line(fmt.Sprintf("  and %s more", number(rest)))
	}
}

// messageOf names a part: its message, and its group if that is not the only one.
func messageOf(now time.Time, u *worker.Unended) string {
	text := fmt.Sprintf("message %d", u.Position)
	if u.Group > 0 {
		text += fmt.Sprintf(" group %d", u.Group)
	}
	return text + " for " + ago(now, u.Received)
}

// place is a position; below the first message there is none.
func place(n, behind int64) string {
	if n < 0 && behind >= 0 {
		return "-"
	}
	return number(n)
}

// movesOf says what moves: with nothing that stands it is the proof.
func movesOf(t *table, r *why.Report) {
	m := &r.Moves
	speed := ""
	if m.Over > 0 {
		speed = fmt.Sprintf(", %.1f groups/s flushed (over %.1fs)", m.PerSec, m.Over)
	}
	lanes := "lanes hold parts and move"
	if m.Lanes == 1 {
		lanes = "lane holds parts and moves"
	}
	t.line(fmt.Sprintf("moving: %s read, %s %s%s; %s groups flushed since the start, %s parts in flight, %s messages behind",
		counted(int(m.Strands), "strand"), number(m.Lanes), lanes, speed, number(m.Flushed), number(m.InFlight), number(m.Behind)))
	if !m.Oldest.IsZero() {
		t.line("the oldest message that has not ended is " + ago(r.Now, m.Oldest) + " old")
	}
	var at []string
	for _, n := range m.Newest {
		at = append(at, fmt.Sprintf("%s at %s of %s", printable(n.Source+" "+n.Name), place(n.Position, m.Behind), place(n.End, m.Behind)))
	}
	if len(at) > 0 {
		t.line("newest: " + strings.Join(slices.Compact(at), ", "))
	}
}
