package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/worker"
)

// strandRows keeps hundreds of partitions from filling the screen: beyond it they
// are counted by state, and those that do not move are shown.
const strandRows = 20

const stateFetching = "fetching"

// strandTable shows each strand, or what they come to.
func strandTable(t *table, s *worker.Status, v scope) {
	switch {
	case len(s.Strands) == 0:
		t.head("STRAND", "STATE")
		t.row("none yet")
	case v.blocked:
		stuckStrands(t, s, v)
	case v.strands || len(s.Strands) <= strandRows:
		strandHead(t)
		for i := range s.Strands {
			strandRow(t, s, &s.Strands[i])
		}
	default:
		strandSums(t, s)
		stuckStrands(t, s, v)
	}
}

func strandHead(t *table) {
	t.head("STRAND", "STATE", "SINCE", "LAG", "COMMITTED", "END", "HELD", "OLDEST", "WHY")
}

func strandRow(t *table, s *worker.Status, st *worker.StrandStatus) {
	why := cmp.Or(st.Why, st.Queue.Cause)
	if len(st.BlockedBy) > 0 {
		why = strings.TrimPrefix(why+"; blocked by "+strings.Join(st.BlockedBy, ", "), "; ")
	}
	t.row(printable(st.Source+" "+st.Name), st.State, ago(s.Now, st.Since), number(st.Queue.Lag),
		number(st.Queue.Committed), number(st.Queue.End),
		number(st.Held)+" ("+size(st.HeldBytes)+")", ago(s.Now, st.Queue.Oldest), printable(why))
}

// strandSums is a line for each state.
func strandSums(t *table, s *worker.Status) {
	type sum struct {
		source, state string
		strands, lag  int64
		held, bytes   int64
		oldest        time.Time
	}
	var sums []sum
	for i := range s.Strands {
		st := &s.Strands[i]
		at := slices.IndexFunc(sums, func(o sum) bool { return o.source == st.Source && o.state == st.State })
		if at < 0 {
			at = len(sums)
			sums = append(sums, sum{source: st.Source, state: st.State})
		}
		one := &sums[at]
		one.strands++
		one.held += st.Held
		one.bytes += st.HeldBytes
		one.lag += max(st.Queue.Lag, 0)
		if old := st.Queue.Oldest; !old.IsZero() && (one.oldest.IsZero() || old.Before(one.oldest)) {
			one.oldest = old
		}
	}
	slices.SortStableFunc(sums, func(a, b sum) int { return cmp.Compare(b.strands, a.strands) })
	t.head("STRANDS", "STATE", "LAG", "HELD", "OLDEST")
	for i := range sums {
		one := &sums[i]
		t.row(number(one.strands)+" "+printable(one.source), one.state, number(one.lag),
			number(one.held)+" ("+size(one.bytes)+")", ago(s.Now, one.oldest))
	}
	t.line("`flushline status --strands` lists each")
}

// stuckStrands are those that do not move, the largest lag first.
func stuckStrands(t *table, s *worker.Status, v scope) {
	var stuck []*worker.StrandStatus
	for i := range s.Strands {
		if s.Strands[i].State != stateFetching {
			stuck = append(stuck, &s.Strands[i])
		}
	}
	if len(stuck) == 0 {
		if v.blocked {
			t.line("every strand is fetched")
		}
		return
	}
	slices.SortStableFunc(stuck, func(a, b *worker.StrandStatus) int { return cmp.Compare(b.Queue.Lag, a.Queue.Lag) })
	strandHead(t)
	shown := len(stuck)
	if !v.strands {
		shown = min(shown, strandRows)
	}
	for _, st := range stuck[:shown] {
		strandRow(t, s, st)
	}
	if rest := len(stuck) - shown; rest > 0 {
		t.line(fmt.Sprintf("and %s more that are not fetched", number(int64(rest))))
	}
}
