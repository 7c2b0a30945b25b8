package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// commitPause is how long a commit that was not accepted waits for something to
// change before it is sent again.
const commitPause = 100 * time.Millisecond

// answerWithin is how long a commit that was cut short may take to be answered
// nevertheless.
const answerWithin = time.Second

// Commit stores positions, each under its lease, and returns nil if all were
// stored, else an error or nil for each mark. It waits through rounds and through
// the absence of the coordinator until ctx ends: nothing that should go on
// meanwhile may wait for it. Several marks of one lease in a call are a mistake.
//
// Errors: ErrNotOwned and ErrSuperseded; the broker's, if it would refuse the same
// commit again (kafka.OffsetMetadataTooLarge, kafka.UnknownTopicOrPartition, no
// rights); else why ctx ended, with the last answer: the offset may then be stored
// or not.
//
// One request of a member is under way at a time, so no commit overtakes another.
// When ctx ends, the answer to what was sent is still waited for a little: a later
// commit goes over another connection, and if it came first at the broker, the
// earlier one would move the offset back. Only one that lies unread at a broker that
// stands still may be carried out after a later one.
func (m *Member) Commit(ctx context.Context, marks []Mark) []error {
	c := commit{member: m, marks: marks, open: make([]bool, len(marks)), errs: make([]error, len(marks))}
	for i := range c.open {
		c.open[i] = true
	}
	for tries := 0; !c.attempt(ctx); tries++ {
		pause := time.NewTimer(commitPause)
		var changed <-chan struct{}
		if tries < 3 { // what keeps it from being accepted is often over at once
			changed = m.watch()
		}
		select {
		case <-changed:
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
		if ctx.Err() != nil {
			c.giveUp(context.Cause(ctx))
			break
		}
	}
	return c.result()
}

// commit is one call of Commit.
type commit struct {
	member *Member
	marks  []Mark
	open   []bool // what is neither stored nor refused
	errs   []error
	last   error // the last answer that was neither
}

// attempt sends what is open and may be sent. done: nothing is open any more.
func (c *commit) attempt(ctx context.Context) (done bool) {
	m := c.member
	select {
	case m.line <- struct{}{}:
		defer func() { <-m.line }()
	case <-ctx.Done():
		return false
	}
	addr, who, ps := c.prepare()
	if len(ps) > 0 {
		sent := time.Now()
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(m.cfg.Session/5, 2*time.Second))
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(answerWithin, cancel) })()
		failpoint.Hit(failpoint.CommitBefore)
		failed, err := m.cfg.Client.Commit(call, addr, who, ps)
		failpoint.Hit(failpoint.CommitSent)
		c.conclude(addr, who, sent, failed, err)
	}
	for _, open := range c.open {
		if open {
			return false
		}
	}
	return true
}

// prepare says what to send as whom, having refused what must not be sent. Both
// are decided at one moment: as long as the coordinator takes us for a member of
// that generation, the partition can be nobody else's.
func (c *commit) prepare() (addr string, who wire.Membership, ps []wire.CommitPartition) {
	m := c.member
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.machine
	ready := k.mayCommit(time.Now())
	for i, mark := range c.marks {
		l := mark.Lease
		switch {
		case !c.open[i]:
		case !k.owns(l) && !mutant.On(mutant.NoFence):
			c.refuse(i, ErrNotOwned)
		case mark.Offset < l.sent && !mutant.On(mutant.CommitBack):
			c.refuse(i, ErrSuperseded)
		case ready:
			l.sent = mark.Offset
			ps = append(ps, wire.CommitPartition{TopicPartition: l.TopicPartition, Offset: mark.Offset, Metadata: mark.Metadata})
		}
	}
	return k.where.addr, m.as(k.id, k.gen), ps
}

// mayCommit says whether a commit has a chance. While a round waits for its
// members commits are accepted under the generation before; once it has begun a
// new one they are not, until the sync.
func (m *machine) mayCommit(now time.Time) bool {
	return m.where.addr != "" && m.beats() && (m.phase == between || m.phase == joining) && !m.doubtful(now)
}

func (c *commit) refuse(i int, err error) {
	mark := c.marks[i]
	c.open[i] = false
	c.errs[i] = fmt.Errorf("couldn't commit %s at %d: %w", mark.Lease.TopicPartition, mark.Offset, err)
}

// conclude sorts the answer: per mark, and what it says about us.
func (c *commit) conclude(addr string, who wire.Membership, sent time.Time, failed map[wire.TopicPartition]error, err error) {
	about := err // what the coordinator said to us, as far as it is not about one partition
	for i, mark := range c.marks {
		if !c.open[i] {
			continue
		}
		e := err
		if e == nil {
			e = failed[mark.Lease.TopicPartition]
		}
		switch {
		case e == nil:
			c.open[i] = false
		case unstorable(e):
			c.refuse(i, e)
		default:
			about, c.last = e, e
		}
	}
	if errors.Is(about, context.Canceled) {
		return // our caller broke off: it says nothing of the coordinator
	}
	m := c.member
	m.event(func(now time.Time) {
		if judge(about) == away {
			m.machine.astray(now, addr, about)
		} else {
			m.machine.answered(now, who.Member, who.Generation, sent, about)
		}
		m.machine.follow(now)
	})
}

func (c *commit) giveUp(why error) {
	if c.last != nil {
		why = fmt.Errorf("%w (last answer: %w)", why, c.last)
	}
	for i, open := range c.open {
		if open {
			c.refuse(i, why)
		}
	}
}

func (c *commit) result() []error {
	for _, err := range c.errs {
		if err != nil {
			return c.errs
		}
	}
	return nil
}
