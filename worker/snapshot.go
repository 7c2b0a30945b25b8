package worker

import (
	"cmp"
	"slices"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/queue"
)

// Status is one snapshot. Each lane is looked at under its lock, where its
// equation holds, so the sums hold as well. Safe at any time, also before and
// after Run.
func (w *Worker) Status() *Status {
	now := time.Now()
	st := &Status{
		Version: w.cfg.Version, Deployment: w.cfg.Deployment, Host: w.cfg.Host,
		State: *w.state.Load(), Started: w.started, Now: now,
		Pools:       []PoolStatus{w.held.status(), w.work.status()},
		LateFlushes: w.late.Load(), Defects: queue.Misuse(),
	}
	sn := w.snapshot()
	for i, s := range sn.sources {
		st.Sources = append(st.Sources, SourceStatus{
			Name: s.name, Messages: s.messages.Load(), Acknowledged: s.acknowledged.Load(),
			Released: s.givenBack.Load(), Counts: sn.bySource[i].export(),
		})
	}
	for _, e := range sn.entries {
		st.Flushers = append(st.Flushers, sn.flusherStatus(e))
	}
	st.Standing = standing(sn.lanes, now)
	st.Lanes = sn.busy(now)
	for _, s := range sn.strands {
		st.Strands = append(st.Strands, s.status(sn))
	}
	st.Paused = w.pauseStatus()
	w.eachGuard(func(scope, name string, g *guard) {
		if gs, ok := g.status(scope, name); ok {
			st.Stopped = append(st.Stopped, gs)
		}
	})
	return st
}

// snapshot is what one walk over the lanes found.
type snapshot struct {
	sources  []*source
	strands  []*strand
	entries  []*entry
	bySource []total
	departed []tally            // by source: of entries that are gone
	byEntry  map[*entry][]total // by source
	states   map[*entry]map[string]int64
	lanes    []LaneStatus
	load     map[*strand][]load // lanes that hold parts of a strand
}

// total is a tally and what lives.
type total struct {
	tally
	inFlight int64
}

// load is how much one lane holds of one strand.
type load struct {
	name  string
	bytes int64
	parts int

	oldest Unended
}

func (w *Worker) snapshot() *snapshot {
	w.mu.Lock() // no lane comes or retires meanwhile
	defer w.mu.Unlock()
	sn := &snapshot{
		sources: append([]*source(nil), w.sources...), strands: append([]*strand(nil), w.strands...),
		entries: w.table.Load().all(),
		byEntry: map[*entry][]total{}, states: map[*entry]map[string]int64{}, load: map[*strand][]load{},
	}
	sn.bySource = make([]total, len(sn.sources))
	for _, s := range sn.sources {
		s.lost.mu.Lock()
		sn.add(nil, &s.lost, s.lost.dying)
		sn.hold("", "", s.lost.dying)
		s.lost.mu.Unlock()
	}
	for _, e := range sn.entries {
		sn.byEntry[e] = make([]total, len(sn.sources))
		sn.states[e] = map[string]int64{}
		e.mu.Lock()
		sn.merge(e, e.retired)
		e.mu.Unlock()
	}
	sn.merge(nil, w.departed)
	for i := range w.departed {
		sn.departed = append(sn.departed, tally{})
		sn.departed[i].merge(&w.departed[i])
	}
	for _, l := range w.lanes {
		sn.visit(l)
	}
	return sn
}

func (sn *snapshot) merge(e *entry, ts []tally) {
	for i := range ts {
		if i >= len(sn.bySource) {
			return
		}
		sn.bySource[i].merge(&ts[i])
		if e != nil {
			sn.byEntry[e][i].merge(&ts[i])
		}
	}
}

// add takes books whose lock is held, and the parts of theirs that live.
func (sn *snapshot) add(e *entry, b *books, live []*part) {
	sn.merge(e, b.tally)
	for _, p := range live {
		if !p.open() {
			continue
		}
		i := p.m.strand.source.index
		if i >= len(sn.bySource) {
			continue
		}
		sn.bySource[i].inFlight++
		if e != nil {
			sn.byEntry[e][i].inFlight++
		}
	}
}

func (sn *snapshot) visit(l *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	live := l.liveLocked()
	sn.add(l.entry, &l.books, live)
	sn.states[l.entry][l.shownLocked()]++
	if l.state == idle && len(live) == 0 && l.park.phase == flowing {
		return
	}
	ls := l.statusLocked(live)
	sn.lanes = append(sn.lanes, ls)
	sn.hold(l.name(), ls.State, live)
}

// liveLocked finds all parts of the lane that have not ended.
func (l *lane) liveLocked() []*part {
	var live []*part
	for _, q := range [2]*fifo{&l.live, &l.served} {
		for p := q.head; p != nil; p = p.next {
			live = append(live, p)
		}
	}
	for _, list := range [2][]*batch{l.retry, l.flights} {
		for _, b := range list {
			live = append(live, b.parts...)
		}
	}
	live = append(live, l.dying...)
	return slices.DeleteFunc(live, func(p *part) bool { return !p.open() })
}

func (l *lane) statusLocked(live []*part) LaneStatus {
	ls := LaneStatus{
		Route: l.entry.route, Flusher: l.entry.flusher,
		Project: l.key.Project, Logstore: l.key.Logstore, Config: l.key.Config,
		State: l.state.String(), Why: l.why, Since: l.since, Parts: len(live), Abandoned: int(l.abandoned),
		LastError: l.lastError,
	}
	if l.lastError != "" && l.lastError != l.why {
		ls.Why += lastFailed + l.lastError
	}
	ls.Suspects, ls.Doubtful = l.suspectsLocked()
	ls.Park = l.parkStatusLocked()
	switch ls.State = l.shownLocked(); {
	case ls.State != LaneParking:
	case l.park.phase == blocked || l.surplus:
		ls.Why, ls.Since = l.lastError, l.park.since.Time()
	default:
		ls.Why = l.w.parker.failure()
	}
	for _, p := range live {
		ls.Bytes += p.bytes()
	}
	l.triesLocked(&ls)
	if oldest := oldestOf(live); oldest != nil {
		u := oldest.unended()
		u.Lane, u.State = l.name(), ls.State
		ls.Unended, ls.Oldest = &u, u.Received
	}
	return ls
}

// shownLocked is the state that people see.
func (l *lane) shownLocked() string {
	switch {
	case l.park.phase == blocked || l.surplus:
		return LaneParking
	case l.state == idle:
		for _, p := range l.dying {
			switch {
			case !p.open():
			case p.turned:
				return LaneParking
			default:
				return LaneLettering
			}
		}
	}
	return l.state.String()
}

// parkStatusLocked is nil for a lane that parks nothing.
func (l *lane) parkStatusLocked() *ParkStatus {
	ps := &ParkStatus{Phase: phases[l.park.phase]}
	switch {
	case l.surplus:
		ps.Phase, ps.Since = ParkNoLane, l.park.since.Time()
	case l.park.phase != flowing:
		ps.Since = l.park.since.Time()
	case l.park.cap > 0:
		ps.Phase, ps.Cap = ParkOverflow, l.park.cap
	default:
		return nil
	}
	if l.park.phase == blocked {
		ps.NextProbe = l.park.probeAt.Time()
	}
	for i := range l.tally {
		ps.Parked += l.tally[i].parked
	}
	return ps
}

// busy are the lanes that hold parts, standing ones first, the oldest part first.
func (sn *snapshot) busy(now time.Time) []LaneStatus {
	slices.SortFunc(sn.lanes, func(a, b LaneStatus) int {
		if a.Stands(now) != b.Stands(now) {
			if a.Stands(now) {
				return -1
			}
			return 1
		}
		return a.Oldest.Compare(b.Oldest)
	})
	return sn.lanes[:min(len(sn.lanes), MaxLanes)]
}

func (sn *snapshot) flusherStatus(e *entry) FlusherStatus {
	fs := FlusherStatus{
		Route: e.route, Flusher: e.flusher, Kind: e.newest.Load().Kind.Name, Lanes: sn.states[e],
		Leaving:   leavingNames[e.leaving.Load()],
		Abandoned: int64(e.abandoned.Load()),
	}
	var sum total
	for i := range sn.byEntry[e] {
		t := &sn.byEntry[e][i]
		sum.merge(&t.tally)
		sum.inFlight += t.inFlight
	}
	fs.Counts = sum.export()
	for class := range e.errors {
		if n := e.errors[class].Load(); n > 0 {
			if fs.Errors == nil {
				fs.Errors = map[string]int64{}
			}
			fs.Errors[flushers.Class(class).String()] = n
		}
	}
	return fs
}

func (t *total) export() Counts {
	return Counts{
		Received: t.received, Flushed: t.flushed, Parked: t.parked, InFlight: t.inFlight,
		DeadLettered: t.deadLettered, Skipped: t.skipped, Released: t.released,
	}
}

// blockers are named at most.
const blockers = 5

func (s *strand) status(sn *snapshot) StrandStatus {
	st := s.look(time.Now())
	st.Unended = sn.oldest(s)
	if st.State != strandFetching && st.State != st.Queue.State {
		loads := sn.load[s]
		slices.SortFunc(loads, func(a, b load) int {
			if st.Queue.Full { // it may be the oldest message alone that keeps the rest
				return a.oldest.Received.Compare(b.oldest.Received)
			}
			return int(b.bytes - a.bytes)
		})
		for _, ld := range loads {
			if ld.name != "" && len(st.BlockedBy) < blockers {
				st.BlockedBy = append(st.BlockedBy, ld.name)
			}
		}
	}
	return st
}

// look says what the strand does and notes since when. Of a state that the queue
// is in, that is when it was first seen: the worker looks each second.
func (s *strand) look(now time.Time) StrandStatus {
	q, noLetters := s.q.Status(), s.w.letters.failure()
	s.source.sums.note(&s.info, &q)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !q.Full {
		s.full = time.Time{}
	} else if s.full.IsZero() {
		s.full = now
	}
	st := StrandStatus{
		Source: s.info.Source, Name: s.info.Name, Incarnation: s.info.Incarnation,
		State: s.state, Why: s.why,
		Held: s.held.Load(), HeldBytes: s.heldBytes.Load(), Queue: q,
	}
	if st.State == strandFetching {
		if s.source.guard.tripped.Load() && st.Held > 0 {
			st.Why = "the source dead-lettered everything; mend the cause, then run `flushline resume`"
		} else if noLetters != "" && st.Held > 0 {
			st.Why = "the dead letter queue fails, so what belongs there is not acknowledged: " + noLetters
		}
		switch {
		case q.State != "" && q.State != queue.StateConsuming:
			st.State, st.Why = q.State, q.Cause
		case !s.full.IsZero() && now.Sub(s.full) >= stalledFor:
			st.State, st.Why = strandWindowFull, cmp.Or(q.Cause, "as many messages are unended as the source may hand out")
		}
	}
	st.Since = s.sinceLocked(st.State, now)
	return st
}

// sinceLocked notes the state that people see now.
func (s *strand) sinceLocked(state string, now time.Time) time.Time {
	if state != s.shown {
		s.shown, s.shownSince = state, now
		if s.since.After(s.looked) {
			s.shownSince = s.since
		}
	}
	if state == s.state && s.since.After(s.shownSince) {
		s.shownSince = s.since
	}
	s.looked = now
	return s.shownSince
}
