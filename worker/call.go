package worker

import (
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

// method is which call into a flusher it is: how long it may take, and what people
// are told when it takes longer.
type method uint32

const (
	callInit method = iota + 1
	callIsReady
	callFlush
	callSetUrgent
	callStop
	callRelease // of shared values that the flusher did not release itself
)

var methods = [...]string{"", "Init", "IsReady", "Flush", "SetUrgent", "Stop", "Close of a shared value"}

func (m method) String() string { return methods[m] }

// Deadlines of the calls that are not Flush.
const (
	initLimit  = 30 * time.Second // New, Init, Concurrent, BatchHint
	readySlow  = time.Second      // slower than this counts as false
	readyLimit = 20 * time.Second // abandoned after
	otherLimit = 5 * time.Second  // SetUrgent, Stop
	// flushGrace is what a flusher that watches its context has beyond the flush
	// timeout to return by itself, which spares a new instance.
	flushGrace = time.Second
)

func (m method) limit(v *version) time.Duration {
	switch m {
	case callInit:
		return initLimit
	case callIsReady:
		return readyLimit
	case callFlush:
		return v.FlushTimeout + flushGrace
	}
	return otherLimit
}

// call supervises one call into a flusher at a time. The call runs on the
// goroutine that runs the lane, so nothing is paid for calls that return; one
// that outlasts its limit is abandoned: the lane is served by somebody else, and
// the goroutine settles with the lane when the call returns after all.
type call struct {
	started atomic.Int64  // when the running call began, of package clock
	method  atomic.Uint32 // which it is
	limit   atomic.Int64  // nanoseconds it may take, by the version it was made of
	state   atomic.Uint64 // counts: odd while a call runs, so that nobody takes the next one for it
	turn    uint64        // the caller's own view of state
	timer   atomic.Pointer[time.Timer]

	lane  *lane
	inst  *instance
	batch *batch // in hand, if any
}

func isRunning(state uint64) bool { return state&1 != 0 }

// begin starts supervision. On a shared runner the watcher arms the timer when
// the call turns slow; a runner of its own arms it at once.
func (c *call) begin(r *runner, m method, now time.Time) time.Time {
	c.method.Store(uint32(m))
	limit := m.limit(c.inst.version)
	c.limit.Store(int64(limit))
	c.started.Store(clock.Of(now))
	c.turn++
	c.state.Store(c.turn)
	r.call.Store(c)
	if !r.shared() {
		c.arm(limit)
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

// which is the method of the running call, or of the last one.
func (c *call) which() method { return method(c.method.Load()) }

// left is how long the running call may still take.
func (c *call) left(now int64) time.Duration {
	return time.Duration(c.limit.Load() + c.started.Load() - now)
}

// arm has the call looked at after d. A timer left over from an earlier call finds
// a younger start and comes again.
func (c *call) arm(d time.Duration) {
	t := time.AfterFunc(max(d, 0), c.expire)
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

// wedgedPoll is how often a call that may not be abandoned is tried again.
const wedgedPoll = time.Second

func (c *call) expire() {
	seen := c.state.Load()
	if !isRunning(seen) {
		return
	}
	if left := c.left(clock.Now()); left > 0 {
		c.arm(left)
		return
	}
	if !c.lane.abandon(c, seen) {
		c.arm(wedgedPoll)
	}
}
