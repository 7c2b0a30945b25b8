package worker

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

// slowAfter is how long a call or a turn may last before people are told that the lane
// stands.
const slowAfter = 3 * time.Second

// Stands says whether a lane does not move: it waits for something that is not its own
// doing, or for long for what is. now is that of the snapshot.
func (ls *LaneStatus) Stands(now time.Time) bool {
	switch ls.State {
	case LaneIdle, LaneBatching:
		return ls.Doubtful > 0
	case LaneStarting, LaneFlushing:
		return ls.failing() || ls.Call != nil && now.Sub(ls.Call.Since) >= slowAfter
	case LaneQueued:
		return ls.failing() || now.Sub(ls.Since) >= slowAfter
	}
	return true
}

// failing says that what it does now is another try.
func (ls *LaneStatus) failing() bool {
	return ls.LastError != "" || ls.Doubtful > 0 || ls.State == LaneStarting && ls.Why != ""
}

// Phase is that of parking, or of the oldest suspect; empty: neither.
func (ls *LaneStatus) Phase() string {
	switch {
	case ls.Park != nil:
		return ls.Park.Phase
	case len(ls.Suspects) > 0:
		return ls.Suspects[0].Phase
	}
	return ""
}

// lastFailed is in Why between what is waited for and the last error.
const lastFailed = "; the last Flush failed: "

// Reason is the last error or, of a state that has nothing to do with one, what is waited
// for; without what differs from one connection to the next.
func (ls *LaneStatus) Reason() string {
	why := cmp.Or(ls.LastError, ls.Why)
	if len(ls.Suspects) > 0 {
		why = cmp.Or(ls.LastError, ls.Suspects[0].Failed)
	}
	switch ls.State {
	case LanePaused, LaneHolding, LaneRateLimited, LaneWorkWait, LaneLettering:
		why, _, _ = strings.Cut(ls.Why, lastFailed)
	}
	if strings.Contains(why, "->") {
		return ownPort.ReplaceAllString(why, ":*->")
	}
	return why
}

// ownPort is our end in "read tcp 127.0.0.1:40404->127.0.0.1:80".
var ownPort = regexp.MustCompile(`:\d+->`)

// Name is route, flusher and key, as BlockedBy has it.
func (ls *LaneStatus) Name() string {
	return ls.Route + "/" + ls.Flusher + " " + ls.Project + "/" + ls.Logstore + "/" + ls.Config
}

func (l *lane) name() string { return l.entry.name() + " " + l.key.String() }

// triesLocked notes what is tried: the batch, the call that lasts, and the next try.
func (l *lane) triesLocked(ls *LaneStatus) {
	var most *batch
	for _, list := range [2][]*batch{l.retry, l.flights} {
		for _, b := range list {
			if most == nil || b.attempt > most.attempt {
				most = b
			}
		}
	}
	if most != nil {
		ls.Attempt = most.attempt
		ls.Batch = &BatchStatus{Groups: len(most.parts), Bytes: most.bytes}
	}
	for _, b := range l.retry {
		if l.state == paused || l.state == holding {
			break // it is not due before somebody says so
		}
		if ls.NextTry.IsZero() || b.nextTry.Before(ls.NextTry) {
			ls.NextTry = b.nextTry
		}
	}
	switch l.state {
	case backingOff, misconfigured: // a failed Init has no batch; RetryAfter is for all of them
		if l.notBefore.After(ls.NextTry) {
			ls.NextTry = l.notBefore.Time()
		}
	case rateLimited, batching:
		ls.NextTry = l.wakes.Time()
	}
	if c := l.call; isRunning(c.state.Load()) {
		since, limit := c.started.Load(), c.limit.Load()
		ls.Call = &CallStatus{Method: c.which().String(), Since: clock.Time(since), Until: clock.Time(since + limit)}
	}
}

// unended is the part for people.
func (p *part) unended() Unended {
	return Unended{Strand: p.m.strand.info.Name, Position: p.m.d.Message().Position, Group: p.index, Received: p.m.received}
}

// before orders parts by when they came, and those of one Fetch by their place.
func (p *part) before(o *part) bool {
	if came := p.m.received.Compare(o.m.received); came != 0 || p.m == o.m {
		return came < 0 || came == 0 && p.index < o.index
	}
	return p.m.d.Message().Position < o.m.d.Message().Position
}

// oldestOf is nil if none is open.
func oldestOf(parts []*part) (oldest *part) {
	for _, p := range parts {
		if p.open() && (oldest == nil || p.before(oldest)) {
			oldest = p
		}
	}
	return oldest
}

// hold notes what a lane, or without a name nobody, holds of each strand. The lock of
// the parts' books is held.
func (sn *snapshot) hold(name, state string, live []*part) {
	type held struct {
		load
		oldest *part
	}
	per := map[*strand]*held{}
	for _, p := range live {
		if !p.open() {
			continue
		}
		h := per[p.m.strand]
		if h == nil {
			h = &held{load: load{name: name}}
			per[p.m.strand] = h
		}
		h.bytes += p.bytes()
		h.parts++
		if h.oldest == nil || p.before(h.oldest) {
			h.oldest = p
		}
	}
	for s, h := range per {
		h.load.oldest = h.oldest.unended()
		h.load.oldest.Lane, h.load.oldest.State = name, state
		sn.load[s] = append(sn.load[s], h.load)
	}
}

// oldest is the part that keeps the strand's watermark where it is: on a strand the
// lowest position, whenever it came.
func (sn *snapshot) oldest(s *strand) *Unended {
	var first *Unended
	loads := sn.load[s]
	for i := range loads {
		if u := &loads[i].oldest; first == nil || u.Position < first.Position {
			first = u
		}
	}
	if first == nil {
		return nil
	}
	u := *first
	return &u
}

// standing sums up the lanes that stand, the most first.
func standing(lanes []LaneStatus, now time.Time) []StandingLanes {
	type cause struct{ route, flusher, state, phase, why string }
	at := map[cause]*StandingLanes{}
	for i := range lanes {
		l := &lanes[i]
		if !l.Stands(now) {
			continue
		}
		c := cause{l.Route, l.Flusher, l.State, l.Phase(), l.Reason()}
		s := at[c]
		if s == nil {
			s = &StandingLanes{Route: c.route, Flusher: c.flusher, State: c.state, Phase: c.phase, Why: c.why, Since: l.Since, Oldest: l.Oldest}
			at[c] = s
		}
		s.add(1, int64(l.Parts), l.Bytes, l.Since, l.Oldest)
	}
	all := make([]StandingLanes, 0, len(at))
	for _, s := range at {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b StandingLanes) int {
		return cmp.Or(cmp.Compare(b.Lanes, a.Lanes), cmp.Compare(a.Route, b.Route), cmp.Compare(a.Flusher, b.Flusher),
			cmp.Compare(a.State, b.State), cmp.Compare(a.Phase, b.Phase), cmp.Compare(a.Why, b.Why))
	})
	return cutStanding(all)
}

// cutStanding keeps the list short: beyond it lanes are counted without their reasons.
func cutStanding(all []StandingLanes) []StandingLanes {
	if len(all) <= MaxStanding {
		return all
	}
	kept := all[:MaxStanding-1]
	rest := StandingLanes{Since: all[MaxStanding-1].Since}
	for _, s := range all[MaxStanding-1:] {
		rest.add(s.Lanes, s.Parts, s.Bytes, s.Since, s.Oldest)
	}
	return append(kept, rest)
}

func (s *StandingLanes) add(lanes, parts, bytes int64, since, oldest time.Time) {
	s.Lanes += lanes
	s.Parts += parts
	s.Bytes += bytes
	if since.Before(s.Since) {
		s.Since = since
	}
	if !oldest.IsZero() && (s.Oldest.IsZero() || oldest.Before(s.Oldest)) {
		s.Oldest = oldest
	}
}
