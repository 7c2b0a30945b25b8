package why

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/worker"
)

// strands are those that are not read, those of one reason together, the largest lag
// first.
func (l *looker) strands() []Cause {
	var out []Cause
	behind := map[int]int64{}
	for i := range l.s.Strands {
		st := &l.s.Strands[i]
		c := Cause{Kind: KindStrand, State: st.State, Why: cmp.Or(st.Why, st.Queue.Cause)}
		if st.State == fetching && st.Why == "" {
			if c.Why = l.waitsForBytes(st); c.Why == "" {
				continue
			}
		}
		c.FreedBy = l.freeStrand(st)
		if c.Why == "" && len(st.BlockedBy) > 0 {
			c.Why = "blocked by " + strings.Join(st.BlockedBy, ", ")
		}
		at := slices.IndexFunc(out, func(o Cause) bool {
			return o.State == c.State && o.Why == c.Why && o.FreedBy == c.FreedBy && o.Strands[0].Source == st.Source
		})
		if at < 0 {
			at = len(out)
			out = append(out, c)
		}
		out[at].addStrand(st)
		behind[at] += max(0, st.Queue.Lag)
	}
	order := make([]int, len(out))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(behind[b], behind[a]) })
	sorted := make([]Cause, 0, len(out))
	for _, i := range order {
		c := out[i]
		slices.SortStableFunc(c.Strands, func(a, b Strand) int { return cmp.Compare(b.Behind, a.Behind) })
		c.Name = c.Strands[0].Source + " " + c.Strands[0].Name
		c.Strands = c.Strands[:min(len(c.Strands), MaxShown)]
		sorted = append(sorted, c)
	}
	return sorted
}

func (c *Cause) addStrand(st *worker.StrandStatus) {
	c.Count++
	c.Since = earlier(c.Since, st.Since)
	c.Strands = append(c.Strands, Strand{
		Source: st.Source, Name: st.Name, Since: st.Since,
		Committed: st.Queue.Committed, Position: st.Queue.Position, End: st.Queue.End, Behind: st.Queue.Lag,
		Held: st.Held, HeldBytes: st.HeldBytes, BlockedBy: st.BlockedBy, Unended: st.Unended,
	})
}

// waitsForBytes says that a strand that would be read asks for nothing, because what
// stands leaves no bytes to ask for; empty: it does not.
func (l *looker) waitsForBytes(st *worker.StrandStatus) string {
	q := &st.Queue
	if len(l.s.Standing) == 0 || q.Lag <= st.Held || q.RequestedBytes > 0 || q.Buffered > 0 {
		return ""
	}
	for _, p := range l.s.Pools {
		if p.Name == "held" && p.Waiting > 0 {
			return fmt.Sprintf("it waits for bytes of `limits.in_flight`: %d of %d are in use, most by what stands", p.Used, p.Limit)
		}
	}
	return ""
}

// freeStrand is what would free a strand.
func (l *looker) freeStrand(st *worker.StrandStatus) string {
	sentence, ok := Strands[st.State]
	switch {
	case st.State == fetching && st.Why == "":
		sentence = Strands["budget_exhausted"]
	case st.State == fetching && l.sourceStopped(st.Source): // it is read, and what belongs to the dead letters waits
		sentence = Lanes[worker.LaneHolding]
	case st.State == fetching:
		sentence = Lanes[worker.LaneLettering]
	case !ok:
		sentence = Sources[st.State]
	}
	return l.free(sentence, facts{
		"source": l.place(st.Source), "blockers": l.blockersOf(st), "busiest": l.busiest(), "resume": l.resume("strand", st.Name),
		"route": l.route(st.BlockedBy),
	})
}

func (l *looker) sourceStopped(source string) bool {
	return slices.ContainsFunc(l.s.Stopped, func(g worker.GuardStatus) bool { return g.Scope == "source" && g.Name == source })
}

// place is where a source's broker is; parked records of it are at the same.
func (l *looker) place(source string) string {
	for i := range l.s.Sources {
		if s := &l.s.Sources[i]; s.Name == strings.TrimSuffix(source, "_parked") && s.Place != "" {
			return s.Place
		}
	}
	return ""
}

// blockersOf names the flushers that hold a strand, each once, or all that stand if it
// waits for what others have.
func (l *looker) blockersOf(st *worker.StrandStatus) string {
	lanes := st.BlockedBy
	if st.State == fetching {
		for i := range l.s.Standing {
			lanes = append(lanes, l.s.Standing[i].Route+"/"+l.s.Standing[i].Flusher)
		}
	}
	names := flushersOf(lanes)
	const most = 5
	if rest := len(names) - most; rest > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), rest)
	}
	return strings.Join(names, ", ")
}

func flushersOf(lanes []string) []string {
	var names []string
	for _, lane := range lanes {
		if name, _, _ := strings.Cut(lane, " "); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// route is that of the lane that holds the most, with its place.
func (l *looker) route(lanes []string) string {
	if len(lanes) == 0 {
		return ""
	}
	name, _, _ := strings.Cut(lanes[0], "/")
	return "route " + name + at(l.given("routes."+name))
}

// busiest names who keeps the most lanes busy.
func (l *looker) busiest() string {
	most, name := int64(0), ""
	for i := range l.s.Flushers {
		f := &l.s.Flushers[i]
		n := int64(0)
		for state, lanes := range f.Lanes {
			if state != worker.LaneIdle {
				n += lanes
			}
		}
		if n > most {
			most, name = n, f.Route+"/"+f.Flusher
		}
	}
	if name == "" {
		return ""
	}
	return fmt.Sprintf("the destination of %s, which keeps %d of them busy", name, most)
}

// resume is the command that ends a pause.
func (l *looker) resume(scope, name string) string {
	for _, p := range l.s.Paused {
		if p.Scope == scope && p.Name == name {
			return "`" + p.FreedBy + "`"
		}
	}
	return ""
}
