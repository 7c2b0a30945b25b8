package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/queue"
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
	case v.strands || len(s.Strands) <= strandRows:
		strandHead(t)
		for i := range s.Strands {
			strandRow(t, s, &s.Strands[i])
		}
	default:
		strandSums(t, s)
		stuckStrands(t, s)
	}
}

func strandHead(t *table) {
	t.head("STRAND", "STATE", "SINCE", "LAG", "COMMITTED", "END", "HELD", "OLDEST", "WHY")
}

func strandRow(t *table, s *worker.Status, st *worker.StrandStatus) {
	t.row(printable(st.Source+" "+st.Name), st.State, ago(s.Now, st.Since), number(st.Queue.Lag),
		position(st.Queue.Committed, &st.Queue), position(st.Queue.End, &st.Queue),
		number(st.Held)+" ("+size(st.HeldBytes)+")", ago(s.Now, st.Queue.Oldest), printable(whyOf(st)))
}

func whyOf(st *worker.StrandStatus) string {
	why := cmp.Or(st.Why, st.Queue.Cause)
	if len(st.BlockedBy) > 0 {
		why = strings.TrimPrefix(why+"; blocked by "+strings.Join(st.BlockedBy, ", "), "; ")
	}
	return why
}

// position is one of q's: below the first message there is none, which is known as
// soon as the lag is.
func position(n int64, q *queue.Status) string {
	if n < 0 && q.Lag >= 0 {
		return "-"
	}
	return number(n)
}

// strandSum is strands that have something in common.
type strandSum struct {
	source, state, why, first string

	strands, lag, held, bytes int64
	since, oldest             time.Time
}

func (o *strandSum) add(st *worker.StrandStatus) {
	o.strands++
	o.held += st.Held
	o.bytes += st.HeldBytes
	o.lag += max(st.Queue.Lag, 0)
	o.since = earlier(o.since, st.Since)
	o.oldest = earlier(o.oldest, st.Queue.Oldest)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// sumUp sums strands of one source and state, and of one reason if byReason.
func sumUp(strands []worker.StrandStatus, byReason bool) []strandSum {
	var sums []strandSum
	for i := range strands {
		st, why := &strands[i], ""
		if byReason {
			why = whyOf(st)
		}
		at := slices.IndexFunc(sums, func(o strandSum) bool { return o.source == st.Source && o.state == st.State && o.why == why })
		if at < 0 {
			at = len(sums)
			sums = append(sums, strandSum{source: st.Source, state: st.State, why: why, first: st.Name})
		}
		sums[at].add(st)
	}
	return sums
}

// strandSums is a line for each state.
func strandSums(t *table, s *worker.Status) {
	sums := sumUp(s.Strands, false)
	slices.SortStableFunc(sums, func(a, b strandSum) int { return cmp.Compare(b.strands, a.strands) })
	t.head("STRANDS", "STATE", "LAG", "HELD", "OLDEST")
	for i := range sums {
		one := &sums[i]
		t.row(number(one.strands)+" "+printable(one.source), one.state, number(one.lag),
			number(one.held)+" ("+size(one.bytes)+")", ago(s.Now, one.oldest))
	}
	t.line("`flushline status --strands` lists each")
}

// stuckStrands are those that do not move, the largest lag first. What stands for
// one reason, as all partitions of a broker that is away, is one line.
func stuckStrands(t *table, s *worker.Status) {
	stuck := slices.DeleteFunc(slices.Clone(s.Strands), func(st worker.StrandStatus) bool { return st.State == stateFetching })
	if len(stuck) == 0 {
		return
	}
	slices.SortStableFunc(stuck, func(a, b worker.StrandStatus) int { return cmp.Compare(b.Queue.Lag, a.Queue.Lag) })
	if len(stuck) == 1 {
		strandHead(t)
		for i := range stuck {
			strandRow(t, s, &stuck[i])
		}
		return
	}
	sums := sumUp(stuck, true)
	t.head("STANDING", "STATE", "SINCE", "LAG", "HELD", "OLDEST", "WHY")
	for i := range sums[:min(len(sums), strandRows)] {
		one := &sums[i]
		name := printable(one.source + " " + one.first)
		if one.strands > 1 {
			name += fmt.Sprintf(" and %s more", number(one.strands-1))
		}
		t.row(name, one.state, ago(s.Now, one.since), number(one.lag),
			number(one.held)+" ("+size(one.bytes)+")", ago(s.Now, one.oldest), printable(one.why))
	}
	if rest := len(sums) - strandRows; rest > 0 {
		t.line(fmt.Sprintf("and %s more lines; --strands lists each", number(int64(rest))))
	}
}
