package group

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// machine decides what a member does. It is told what happened (its methods) and
// says what has to be done (its actions); it starts nothing, waits for nothing and
// reads no clock. Its caller holds a lock around each call and carries the actions
// out in order; none of them may block.
//
// Calls to the coordinator are answered later. An answer may be about the past:
// one to a join or sync counts only if its number is that of the open round, one
// to a beat or commit only if id and generation are still those it was sent with
// and no round is open.
type machine struct {
	rules  rules
	leases map[wire.TopicPartition]*Lease // leased or draining: what we claim
	ending map[wire.TopicPartition]*Lease // fenced, while Serve still runs
	given  map[wire.TopicPartition]bool   // what the last completed round gave us
	out    []action

	// Who we are to the coordinator.
	id        string
	proven    bool  // the id has been through a round
	gen       int32 // the coordinator's generation, for beats and commits; -1: none
	held      int32 // generation of the last completed round; -1: none
	joined    bool  // a join has succeeded: what is refused from now on is state, not an error of Run
	topics    []string
	asked     bool // Subscribe was called
	wish      uint64
	leading   bool
	said      uint64 // fingerprint of the claim of the last join
	rounds    int64
	confirmed time.Time // when the last request was sent that was answered as to a member
	ground    time.Time // as confirmed, or when a later one was sent that found the coordinator away

	// The open round.
	phase    phase
	call     uint64 // number of its join
	callAt   string // the coordinator that it is held with
	tries    int    // rounds that failed in a row
	wanted   bool   // another round is wanted
	wantedAt time.Time
	replan   bool      // the leader could not list partitions
	roundAt  time.Time // when the last one was completed
	spoilt   int       // rounds in a row that did not last
	spoiltBy uint64    // call of the last of them

	where   finder
	pulse   pulse
	handAt  time.Time // when what was drained is handed over
	againAt time.Time // when partitions whose Serve returned by itself are granted again
	recheck recheck

	stopping *queue.End
	leaving  bool // the leave is on its way
	leaveBy  time.Time
	ended    bool
	failure  error // why it ended; nil: it was stopped

	err   error // what is wrong between us and the coordinator
	since time.Time

	unplaced      error // why leases wait for their positions
	unplacedSince time.Time

	due time.Time // when tick is to be called; zero: never
}

// rules are the parts of a Config that decide.
type rules struct {
	session, heartbeat, drain time.Duration
	leaves                    bool   // at a stop
	seed                      uint32 // tells this process from others in what it says
}

type phase uint8

const (
	between  phase = iota // no round is open
	joining               // our join is on its way
	planning              // we lead and make the plan
	syncing               // our sync is on its way
)

const (
	together  = 200 * time.Millisecond // what drains within it is handed over in one round
	overdue   = 5 * time.Second        // beyond the end of a drain, until a lease is fenced off
	restless  = time.Second            // between two leases of a partition that Serve gives up by itself
	farewell  = 3 * time.Second        // for the leave
	quickBeat = 50 * time.Millisecond  // while a second round is to come
	firstTry  = 100 * time.Millisecond // grows twofold with each failure, to the last
	lastTry   = 2 * time.Second
)

func newMachine(r rules) *machine {
	return &machine{
		rules: r, gen: -1, held: -1, wish: uint64(r.seed),
		leases: map[wire.TopicPartition]*Lease{},
		ending: map[wire.TopicPartition]*Lease{},
		given:  map[wire.TopicPartition]bool{},
	}
}

// backoff is how long to wait after so many failures in a row.
func backoff(failures int) time.Duration {
	if failures <= 0 {
		return 0
	}
	return min(firstTry<<min(failures-1, 10), lastTry)
}

// spoil asks for another round because the last one did not last. Two in a row are
// ordinary: members come one after the other. A coordinator that goes on saying so is
// not asked as fast as it answers.
func (m *machine) spoil(now time.Time) {
	if m.spoiltBy == m.call {
		return // it said so before
	}
	m.spoiltBy = m.call
	m.spoilt++
	m.want(now)
	m.wantedAt = now.Add(backoff(m.spoilt - 2))
}

// do asks for an action.
func (m *machine) do(a action) { m.out = append(m.out, a) }

// actions hands over what is to be done.
func (m *machine) actions() []action {
	out := m.out
	m.out = nil
	return out
}

// tick is for when a time is due.
func (m *machine) tick(now time.Time) { m.follow(now) }

// follow does what the state asks for, at the end of every event.
func (m *machine) follow(now time.Time) {
	m.due = time.Time{}
	if m.ended {
		return
	}
	m.fenceOverdue(now)
	if m.stopping != nil && len(m.leases) == 0 {
		m.goHome(now)
		return
	}
	if m.reached(now, m.handAt) {
		m.want(now)
	}
	if m.reached(now, m.againAt) {
		m.againAt = time.Time{}
		m.grantGiven()
	}
	if m.recheck.wanted && m.phase == between && m.held >= 0 && m.reached(now, m.recheck.at) {
		m.recheck.wanted, m.recheck.at = false, now
		m.do(compare{topics: m.topics})
	}
	m.seek(now)
	if m.where.addr == "" {
		return
	}
	if m.phase == between && m.wanted && m.asked && m.reached(now, m.wantedAt) {
		m.join(now)
	}
	m.beat(now)
}

// reached says whether a time has come; if not, tick is called when it has. The
// zero time never comes.
func (m *machine) reached(now, at time.Time) bool {
	if at.IsZero() {
		return false
	}
	if !now.Before(at) {
		return true
	}
	if m.due.IsZero() || at.Before(m.due) {
		m.due = at
	}
	return false
}

// subscribe changes what we want; ordered topics.
func (m *machine) subscribe(now time.Time, topics []string) {
	if m.asked && slices.Equal(m.topics, topics) {
		return
	}
	m.asked, m.topics = true, topics
	m.want(now)
	m.follow(now)
}

// want asks for a round, as soon as none is open.
func (m *machine) want(now time.Time) {
	m.handAt = time.Time{}
	if !m.wanted {
		m.wanted, m.wantedAt = true, now
	}
}

// trouble notes what is wrong. It stays until something succeeds.
func (m *machine) trouble(now time.Time, err error) {
	if m.err == nil {
		m.since = now
	}
	m.err = err
}

// placing notes whether positions can be read.
func (m *machine) placing(now time.Time, err error) {
	if err == nil || m.unplaced == nil {
		m.unplacedSince = now
	}
	m.unplaced = err
}

// wrong is what keeps the member from being well, and since when.
func (m *machine) wrong() (since time.Time, err error) {
	switch {
	case m.err != nil:
		return m.since, m.err
	case m.unplaced != nil:
		return m.unplacedSince, m.unplaced
	}
	return time.Time{}, nil
}

// confirm notes an answer to a member.
func (m *machine) confirm(sent time.Time) {
	m.err, m.since = nil, time.Time{}
	m.where.failures = 0
	if sent.After(m.confirmed) {
		m.confirmed = sent
	}
	if sent.After(m.ground) {
		m.ground = sent
	}
}

// excuse notes an attempt that the coordinator could not answer. While it is away
// nobody can be given what is ours; but an attempt made after a silence longer
// than the session proves nothing about that silence.
func (m *machine) excuse(sent time.Time) {
	if sent.After(m.ground) && elapsed(m.ground, sent) <= m.rules.session {
		m.ground = sent
	}
}

// elapsed is the time between two moments by the clock that stands still while the
// machine is suspended or by the one that may be set, whichever says more.
func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// die ends the member for a reason that no retry mends.
func (m *machine) die(now time.Time, err error) {
	m.trouble(now, err)
	m.loseAll(now, err)
	m.finish(err)
}

func (m *machine) finish(err error) {
	m.ended, m.failure, m.wanted, m.due = true, err, false, time.Time{}
	m.do(finished{})
}

// dropID forgets an id that the coordinator does not know.
func (m *machine) dropID() { m.id, m.proven, m.gen, m.held = "", false, -1, -1 }

// fencedOut says whether another process has our instance name. An id that has
// been through no round may also be one that a coordinator gave out and did not
// live to write down: it is tried again as a new member, a few times.
func (m *machine) fencedOut() bool { return m.proven || m.tries > 5 }

// claim is what the next join says. A static member that stops and will be back
// claims on what it drains and has drained: its successor finds it there.
func (m *machine) claim() claim {
	c := claim{topics: m.topics, generation: m.held, leaving: m.stopping != nil && m.rules.leaves, wish: m.wish}
	back := m.stopping != nil && !m.rules.leaves
	c.owned = slices.Collect(maps.Keys(m.leases))
	if back {
		c.owned = slices.AppendSeq(c.owned, maps.Keys(m.given))
	}
	c.owned = order(c.owned)
	for _, p := range c.owned {
		l := m.leases[p]
		c.draining = append(c.draining, l != nil && l.state == draining && !(back && m.given[p]))
	}
	return c
}

func (m *machine) String() string {
	return fmt.Sprintf("id %q gen %d held %d phase %d leases %d ending %d wanted %v stopping %v ended %v", m.id, m.gen, m.held, m.phase, len(m.leases), len(m.ending), m.wanted, m.stopping, m.ended)
}
