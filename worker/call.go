package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
)

// call supervises one call into a flusher at a time. The call runs on the
// goroutine that runs the lane, so nothing is paid for calls that return; one
// that outlasts its limit is abandoned: the lane is served by somebody else, and
// the goroutine settles with the lane when the call returns after all.
type call struct {
	started  atomic.Int64  // when the running call began, in Unix nanoseconds
	limit    atomic.Int64  // nanoseconds
	state    atomic.Uint64 // counts: odd while a call runs, so that nobody takes the next one for it
	turn     uint64        // the caller's own view of state
	flushing bool          // the call is Flush: the batch's groups are being read
	timer    atomic.Pointer[time.Timer]

	lane  *lane
	inst  *instance
	batch *batch // in hand, if any
}

func isRunning(state uint64) bool { return state&1 != 0 }

// begin starts supervision. On a shared runner the watcher arms the timer when
// the call turns slow; a runner of its own arms it at once.
func (c *call) begin(r *runner, limit time.Duration, now time.Time) time.Time {
	c.limit.Store(int64(limit))
	c.started.Store(now.UnixNano())
	c.turn++
	c.state.Store(c.turn)
	r.call.Store(c)
	if !r.shared() {
		c.arm(now.UnixNano())
	}
	return now
}

// end stops supervision and says whether the call is still ours: false means it
// was abandoned and the lane has gone on without it.
func (c *call) end(r *runner) bool {
	r.call.Store(nil)
	ours := c.state.CompareAndSwap(c.turn, c.turn+1)
	c.turn++
	if t := c.timer.Swap(nil); t != nil {
		t.Stop()
	}
	return ours
}

// arm has the call abandoned at its limit. A timer left over from an earlier call
// finds a younger start and comes again.
func (c *call) arm(now int64) {
	left := c.started.Load() + c.limit.Load() - now
	t := time.AfterFunc(time.Duration(max(left, 0)), c.expire)
	if old := c.timer.Swap(t); old != nil {
		old.Stop()
	}
	if !isRunning(c.state.Load()) {
		t.Stop()
	}
}

// await waits until no call runs, for Stop may come only then.
func (c *call) await(patience time.Duration) bool {
	for begun := time.Now(); isRunning(c.state.Load()); time.Sleep(readyUrgent) {
		if time.Since(begun) > patience {
			return false
		}
	}
	return true
}

func (c *call) expire() {
	seen := c.state.Load()
	if !isRunning(seen) {
		return
	}
	now := time.Now().UnixNano()
	if now-c.started.Load() < c.limit.Load() {
		c.arm(now)
		return
	}
	if !c.lane.abandon(c, seen) { // at a limit: the lane is wedged and waits with it
		c.limit.Add(int64(time.Second))
		c.arm(now)
	}
}

// The limits on calls that were abandoned and have not returned.
const (
	laneAbandoned    = 4
	entryAbandoned   = 16
	processAbandoned = 64
)

// abandon gives up a call that outlasted its limit: its instance is spent, its
// batch is tried again with a new one, and its bytes stay charged until it
// returns. False: there are too many such calls already, so the lane waits with
// this one.
func (l *lane) abandon(c *call, seen uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.state.Load() != seen { // it has just returned
		return true
	}
	if l.abandoned >= laneAbandoned || l.entry.abandoned.Load() >= entryAbandoned || l.w.abandoned.Load() >= processAbandoned {
		l.setLocked(wedged, "a call has not returned, and too many others have not either", time.Now())
		return false
	}
	if !c.state.CompareAndSwap(seen, seen+3) { // not running, and not what end expects
		return true
	}
	l.abandoned++
	l.entry.abandoned.Add(1)
	l.w.abandoned.Add(1)
	l.entry.errors[flushers.ClassTimeout].Add(1)
	inst, b := c.inst, c.batch
	inst.users.Add(1)
	inst.spent.Store(true)
	l.renew.Store(true)
	inst.cancel(errCallAbandoned)
	why := "a call into the flusher outlasted its limit of " + time.Duration(c.limit.Load()).String()
	l.log().Warn("a call into the flusher is abandoned; a new instance takes over", zap.String("why", why))
	switch {
	case b != nil && c.flushing:
		l.landLocked(b)
		again := newBatch(l)
		again.attempt, again.backoff = b.attempt, b.backoff
		for _, p := range b.parts {
			if p.open() { // others may be gone when the call returns just now
				again.add(p)
			}
		}
		l.keepLocked(again, failure{flushers.ClassTimeout, 0, errors.New(why)})
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
		l.waitLocked(backingOff, why, readyFirst)
	}
	return true
}

// returned takes back an abandoned call, on its own goroutine, and stops the
// instance it spent if it was the last to use it.
func (l *lane) returned(inst *instance) {
	l.mu.Lock()
	l.abandoned--
	l.mu.Unlock()
	l.entry.abandoned.Add(-1)
	l.w.abandoned.Add(-1)
	l.log().Info("an abandoned call has returned")
	if inst.left() {
		inst.stop(false, otherLimit)
	}
}

// panicError is a panic of a flusher, as an error of that call.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the flusher panicked: %v", e.value) }

// contain turns a panic into *err.
func contain(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{value: v, stack: debug.Stack()}
	}
}
