package worker

import (
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/mutant"
)

// The limits on calls that were abandoned and have not returned.
const (
	laneAbandoned    = 4
	entryAbandoned   = 16
	processAbandoned = 64
)

// mayAbandonLocked counts one more abandoned call of the lane, unless one of the
// limits is reached.
func (l *lane) mayAbandonLocked() bool {
	if l.abandoned >= laneAbandoned || !addBelow(&l.entry.abandoned, entryAbandoned) {
		return false
	}
	if !addBelow(&l.w.abandoned, processAbandoned) {
		l.entry.abandoned.Add(-1)
		return false
	}
	l.abandoned++
	return true
}

func addBelow(n *atomic.Int32, most int32) bool {
	if n.Add(1) <= most {
		return true
	}
	n.Add(-1)
	return false
}

// wedgedLocked has a lane that is at a limit wait before it makes another call that
// may hang. The limit of the process stops only entries that have a share in it: a
// destination that never hung pays for no other.
func (l *lane) wedgedLocked() bool {
	ofEntry := l.entry.abandoned.Load()
	if l.abandoned < laneAbandoned && ofEntry < entryAbandoned && (ofEntry == 0 || l.w.abandoned.Load() < processAbandoned) {
		return false
	}
	if l.gaveUpLocked(nil, "calls into the flusher have not returned: "+l.hangingLocked(), false) {
		l.idleLocked(time.Now())
		return true
	}
	l.waitLocked(wedged, "calls into the flusher have not returned: "+l.hangingLocked(), holdPoll)
	return true
}

// hangingLocked says how many calls hang, for people.
func (l *lane) hangingLocked() string {
	return fmt.Sprintf("%d of this lane (at most %d), %d of the flusher entry (%d), %d of the process (%d)",
		l.abandoned, laneAbandoned, l.entry.abandoned.Load(), entryAbandoned, l.w.abandoned.Load(), processAbandoned)
}

// abandon gives up a call that outlasted its limit: its instance is spent, its
// batch is tried again with a new one, and its bytes stay charged until it
// returns. False: there are too many such calls already, so the lane waits with
// this one.
func (l *lane) abandon(c *call, seen uint64) bool {
	defer l.sentenced()
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.state.Load() != seen { // it has just returned
		return true
	}
	if !l.mayAbandonLocked() {
		if l.state != wedged {
			l.log().Error("a call into the flusher does not return, and as many as may be abandoned have not either: the lane waits",
				zap.Stringer("call", c.which()), zap.String("hanging", l.hangingLocked()))
		}
		l.setLocked(wedged, c.which().String()+" does not return, and neither do others: "+l.hangingLocked(), time.Now())
		return false
	}
	if !c.state.CompareAndSwap(seen, seen+3) { // not running, and not what end expects
		l.forgetAbandonedLocked()
		return true
	}
	m, inst, b := c.which(), c.inst, c.batch
	limit := time.Duration(c.limit.Load())
	l.entry.errors[flushers.ClassTimeout].Add(1)
	inst.users.Add(1)
	inst.spent.Store(true)
	l.renew.Store(true)
	inst.cancel(errCallAbandoned)
	v := &verdict{class: flushers.ClassTimeout, hung: m == callFlush, text: fmt.Sprintf("%s did not return within %s and is abandoned", m, limit)}
	l.log().Warn("a call into the flusher is abandoned; a new instance takes over", zap.Stringer("call", m),
		zap.Duration("limit", limit), zap.Int32("hanging_calls_of_the_lane", l.abandoned))
	switch {
	case m == callSetUrgent: // once is enough of a drain's time
		l.deaf = true
	case m == callFlush:
		l.landLocked(b)
		again := newBatch(l)
		again.attempt, again.backoff, again.doubt, again.feeler = b.attempt, b.backoff, b.doubt, b.feeler
		for _, p := range b.parts {
			if p.open() && !mutant.On(mutant.ForgetAbandoned) { // others may be gone when the call returns just now
				again.add(p)
			}
		}
		l.keepLocked(again, v)
	case b != nil:
		l.giveWork(b)
		l.putBackLocked(b)
	}
	held := c == l.call
	if held {
		l.call = &call{lane: l}
	}
	if held || !l.scheduled { // it held the token, or nobody does
		l.scheduled = true
		l.waitLocked(backingOff, v.text, readyFirst)
	}
	return true
}

func (l *lane) forgetAbandonedLocked() {
	l.abandoned--
	l.entry.abandoned.Add(-1)
	l.w.abandoned.Add(-1)
}

// returned takes back an abandoned call, on its own goroutine, and stops the
// instance it spent if it was the last to use it.
func (l *lane) returned(c *call) {
	l.mu.Lock()
	l.forgetAbandonedLocked()
	l.mu.Unlock()
	l.log().Info("an abandoned call has returned", zap.Stringer("call", c.which()))
	if c.inst.left() {
		c.inst.stop(false, farewell)
	}
}
