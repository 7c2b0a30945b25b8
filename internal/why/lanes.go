package why

import (
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/worker"
)

// lanes are those that stand, those of one flusher, state and error together, the
// oldest part first.
func (l *looker) lanes() []Cause {
	var out []Cause
	for i := range l.s.Lanes {
		lane := &l.s.Lanes[i]
		if !lane.Stands(l.s.Now) && !l.holdsUp(lane) {
			continue
		}
		c := Cause{Kind: KindLane, Name: lane.Route + "/" + lane.Flusher, State: lane.State, Phase: lane.Phase(), Why: lane.Reason()}
		at := slices.IndexFunc(out, func(o Cause) bool { return same(&o, &c) })
		if at < 0 {
			at = len(out)
			c.FreedBy = l.freeLane(lane)
			out = append(out, c)
		}
		out[at].addLane(l, lane)
	}
	for i := range out {
		c := &out[i]
		slices.SortStableFunc(c.Lanes, func(a, b Lane) int { return compareTimes(a.oldest(), b.oldest()) })
		c.Lanes = c.Lanes[:min(len(c.Lanes), MaxShown)]
	}
	out = l.countAll(out)
	slices.SortStableFunc(out, func(a, b Cause) int { return compareTimes(a.oldest(), b.oldest()) })
	return out
}

// holdsUp says that a lane which moves holds the oldest message of a strand that does
// not.
func (l *looker) holdsUp(lane *worker.LaneStatus) bool {
	name := lane.Name()
	return slices.ContainsFunc(l.s.Strands, func(st worker.StrandStatus) bool {
		return st.State != fetching && len(st.BlockedBy) > 0 && st.Unended != nil && st.Unended.Lane == name
	})
}

func (c *Cause) addLane(l *looker, lane *worker.LaneStatus) {
	c.Count++
	c.Since = earlier(c.Since, lane.Since)
	one := Lane{
		Route: lane.Route, Flusher: lane.Flusher, Project: lane.Project, Logstore: lane.Logstore, Config: lane.Config,
		State: lane.State, Since: lane.Since, Attempt: lane.Attempt, NextTry: nextTry(lane), Batch: lane.Batch, Call: lane.Call,
		Parts: lane.Parts, Bytes: lane.Bytes, Unended: lane.Unended, Behind: -1, Suspects: lane.Suspects,
	}
	if lane.Park != nil {
		one.Parked = lane.Park.Parked
	}
	if lane.Unended != nil {
		if lag, ok := l.lags[lane.Unended.Strand]; ok {
			one.Behind = lag
		}
	}
	c.Lanes = append(c.Lanes, one)
}

// countAll takes the numbers from the sums over all lanes: a snapshot names only some.
func (l *looker) countAll(causes []Cause) []Cause {
	for i := range l.s.Standing {
		sum := &l.s.Standing[i]
		c := Cause{Kind: KindLane, Name: sum.Route + "/" + sum.Flusher, State: sum.State, Phase: sum.Phase, Why: sum.Why}
		if sum.Route == "" {
			c.Name, c.State, c.Why = "others", "various", "more reasons than are listed"
		}
		at := slices.IndexFunc(causes, func(o Cause) bool { return same(&o, &c) })
		if at < 0 {
			at = len(causes)
			c.FreedBy = l.free(sentenceOf(sum.State, sum.Phase), l.ofFlusher(sum.Route, sum.Flusher, sum.Why))
			causes = append(causes, c)
		}
		causes[at].Count, causes[at].Since = max(causes[at].Count, sum.Lanes), earlier(causes[at].Since, sum.Since)
	}
	return causes
}

func (l *Lane) oldest() time.Time {
	if l.Unended == nil {
		return time.Time{}
	}
	return l.Unended.Received
}

func (c *Cause) oldest() (first time.Time) {
	for i := range c.Lanes {
		first = earlier(first, c.Lanes[i].oldest())
	}
	return first
}

// compareTimes puts what has none last.
func compareTimes(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	}
	return a.Compare(b)
}

// nextTry is when the lane does something by itself.
func nextTry(l *worker.LaneStatus) time.Time {
	if l.Park != nil && !l.Park.NextProbe.IsZero() {
		return l.Park.NextProbe
	}
	return l.NextTry
}

// sentenceOf is the phase's for a lane that parks for more than a full companion.
func sentenceOf(state, phase string) string {
	switch {
	case state == "":
		return "`flushline status --json` lists some of them with their reasons"
	case state == worker.LaneParking && phase != "" && phase != worker.ParkOverflow, phase == worker.ParkBlocked, phase == worker.ParkNoLane:
		return Phases[phase]
	case Suspects[phase] == "":
		return Lanes[state]
	}
	switch state { // these hold up a suspect as they do any batch
	case worker.LaneUnready, worker.LaneMisconfigured, worker.LaneWedged, worker.LanePaused, worker.LaneHolding, worker.LaneRateLimited:
		return Lanes[state]
	}
	return Suspects[phase]
}

// freeLane is what would free a lane.
func (l *looker) freeLane(lane *worker.LaneStatus) string {
	known := l.ofFlusher(lane.Route, lane.Flusher, lane.Reason())
	known["next"] = l.until(nextTry(lane))
	if lane.State == worker.LaneBatching {
		known["closes"] = known["next"]
	}
	if lane.Call != nil {
		known["timeout"] = l.until(lane.Call.Until)
	}
	if _, command, ok := strings.Cut(lane.Reason(), "was paused; "); lane.State == worker.LanePaused && ok {
		known["resume"] = strings.TrimSuffix(command, " lets it go on")
	}
	sentence := sentenceOf(lane.State, lane.Phase())
	if len(lane.Suspects) == 0 && lane.Stands(l.s.Now) && lane.LastError != "" && (lane.State == worker.LaneFlushing || lane.State == worker.LaneQueued) {
		sentence, known["next"] = Lanes[worker.LaneBackoff], "now" // it is between two tries
	}
	return l.free(sentence, known)
}

// ofFlusher is what is known of a flusher entry.
func (l *looker) ofFlusher(route, flusher, why string) facts {
	known := facts{
		"flusher": strings.Trim(route+"/"+flusher, "/"), "busiest": l.busiest(),
		"parked": strings.NewReplacer("<route>", route, "<flusher>", flusher).Replace(l.given("parked")), // Kafka has a topic for each
	}
	for i := range l.s.Flushers {
		if f := &l.s.Flushers[i]; f.Route == route && f.Flusher == flusher {
			known["option"] = optionOf(f, why)
			known["rate"] = "`rate`" + at(f.At)
			if f.At != "" {
				known["flusher"] += " (" + f.At + ")"
			}
		}
	}
	return known
}
