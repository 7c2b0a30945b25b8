package why

import (
	"cmp"
	"slices"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// Of looks at a snapshot. before is an older one of the same worker, from which speed is
// told; nil: there is none.
func Of(s, before *worker.Status) *Report {
	l := &looker{s: s, lags: map[string]int64{}}
	for i := range s.Strands {
		l.lags[s.Strands[i].Name] = s.Strands[i].Queue.Lag
	}
	strands, lanes := append(l.joining(), l.strands()...), l.lanes()
	r := &Report{
		Version: s.Version, Deployment: s.Deployment, Host: s.Host, State: s.State, Now: s.Now,
		Causes: slices.Concat(interleave(strands, lanes), l.stopped(), l.paused()),
		Moves:  moves(s, before),
	}
	for _, c := range lanes {
		if !slices.ContainsFunc(r.Causes, func(o Cause) bool { return same(&o, &c) }) {
			r.Causes = append(r.Causes, c)
		}
	}
	r.Causes = append(r.Causes, l.unknown()...)
	r.Moves.Strands = int64(len(s.Strands))
	for i := range strands {
		r.Moves.Strands -= strands[i].Count
	}
	if r.Causes == nil {
		r.Causes = []Cause{}
	}
	return r
}

// joining is that of a worker which has no strand yet: nothing moves, and nothing of it
// could stand.
func (l *looker) joining() []Cause {
	if len(l.s.Strands) > 0 || l.s.State == "stopped" || l.s.State == "draining" {
		return nil
	}
	return []Cause{{
		Kind: KindStrand, Name: l.s.Deployment, State: queue.StateJoining, Since: l.s.Started,
		Why: "no strand is joined yet", FreedBy: l.free(Sources[queue.StateJoining], nil),
	}}
}

// looker reads one snapshot.
type looker struct {
	s    *worker.Status
	lags map[string]int64 // of strands
}

// interleave puts behind the strands of each cause the lanes that hold their oldest
// message.
func interleave(strands, lanes []Cause) []Cause {
	var out []Cause
	for _, c := range strands {
		out = append(out, c)
		for i := range c.Strands {
			at := slices.IndexFunc(lanes, func(o Cause) bool { return o.holds(&c.Strands[i]) })
			if at >= 0 && !slices.ContainsFunc(out, func(o Cause) bool { return same(&o, &lanes[at]) }) {
				out = append(out, lanes[at])
			}
		}
	}
	return out
}

func (c *Cause) holds(s *Strand) bool {
	return s.Unended != nil && slices.ContainsFunc(c.Lanes, func(l Lane) bool {
		return l.Unended != nil && l.Unended.Lane == s.Unended.Lane
	})
}

func same(a, b *Cause) bool {
	return a.Kind == b.Kind && a.Name == b.Name && a.State == b.State && a.Phase == b.Phase && a.Why == b.Why
}

// stopped are those that dead-lettered everything.
func (l *looker) stopped() (out []Cause) {
	for _, g := range l.s.Stopped {
		out = append(out, Cause{
			Kind: KindStopped, Name: g.Scope + " " + g.Name, State: worker.LaneHolding, Count: int64(g.Count), Since: g.Since,
			Why: g.Last, FreedBy: l.free(Lanes[worker.LaneHolding], nil),
		})
	}
	return out
}

func (l *looker) paused() (out []Cause) {
	for _, p := range l.s.Paused {
		out = append(out, Cause{
			Kind: KindPaused, Name: p.Scope + " " + p.Name, State: worker.LanePaused, Count: 1, Since: p.Since,
			FreedBy: "`" + p.FreedBy + "`",
		})
	}
	return out
}

// unknown are records that nobody will deliver, because their flusher is not there.
func (l *looker) unknown() (out []Cause) {
	for i := range l.s.Companions {
		for _, p := range l.s.Companions[i].Lanes {
			if slices.ContainsFunc(l.s.Flushers, func(f worker.FlusherStatus) bool {
				return f.Route == p.Route && f.Flusher == p.Flusher && f.Leaving == ""
			}) {
				continue
			}
			name := p.Route + "/" + p.Flusher
			at := slices.IndexFunc(out, func(c Cause) bool { return c.Name == name })
			if at < 0 {
				at = len(out)
				out = append(out, Cause{
					Kind: KindParked, Name: name, State: "unknown_target", Since: p.Oldest,
					Why: "records are parked for a flusher that this configuration does not have: they stay",
					FreedBy: l.free("`flushline parked move -c FILE --route "+p.Route+" --flusher "+p.Flusher+
						" --to ROUTE/FLUSHER`, or give the old name back and `flushline reload`", nil),
				})
			}
			out[at].Count += p.Messages
			out[at].Since = earlier(out[at].Since, p.Oldest)
		}
	}
	return out
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// newest are named at most.
const newest = 5

func moves(s, before *worker.Status) Moves {
	m := Moves{Flushed: flushed(s), Newest: []Newest{}}
	if before != nil && before.Started.Equal(s.Started) {
		if m.Over = s.Now.Sub(before.Now).Seconds(); m.Over > 0 {
			m.PerSec = float64(m.Flushed-flushed(before)) / m.Over
		}
	}
	for i := range s.Sources {
		m.InFlight += s.Sources[i].Counts.InFlight
	}
	var standing, busy int64
	for _, one := range s.Standing {
		standing += one.Lanes
	}
	for i := range s.Flushers {
		for state, n := range s.Flushers[i].Lanes {
			if state != worker.LaneIdle {
				busy += n
			}
		}
	}
	m.Lanes = max(0, busy-standing)
	m.strands(s)
	return m
}

func flushed(s *worker.Status) (n int64) {
	for i := range s.Sources {
		n += s.Sources[i].Counts.Flushed
	}
	return n
}

func (m *Moves) strands(s *worker.Status) {
	for i := range s.Strands {
		st := &s.Strands[i]
		switch {
		case st.Queue.Lag < 0 || m.Behind < 0:
			m.Behind = -1
		default:
			m.Behind += st.Queue.Lag
		}
		m.Oldest = earlier(m.Oldest, st.Queue.Oldest)
		m.Newest = append(m.Newest, Newest{st.Source, st.Name, st.Queue.Position, st.Queue.End})
	}
	slices.SortStableFunc(m.Newest, func(a, b Newest) int { return cmp.Compare(b.End, a.End) })
	m.Newest = m.Newest[:min(len(m.Newest), newest)]
}

const fetching = "fetching"
