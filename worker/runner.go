package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

const (
	quickCall    = 100 * time.Microsecond // lanes whose calls take less share a runner
	slowCall     = 5 * time.Millisecond   // a call that lasts longer keeps its goroutine and loses the queue
	watchEvery   = 2500 * time.Microsecond
	secondRunner = 64 // lanes waiting before another runner starts
)

// runners serve the lanes that have something to do. A goroutine for each busy
// lane costs two microseconds a message in stacks and wake-ups, so lanes with
// quick calls share a runner. When a call turns slow, the watcher takes the queue
// away from its runner, which goes on as that lane's own goroutine.
type runners struct {
	most  int    // shared runners at a time
	crash func() // deferred by each goroutine

	mu       sync.Mutex
	queue    []waiter // gen 0: the token is in the queue; else the lane still lies on its wheel
	head     int
	active   []*runner
	watching bool
	live     int             // goroutines started here
	quiet    []chan struct{} // closed when none is left
}

// runner is one goroutine that runs lanes.
type runner struct {
	call     atomic.Pointer[call] // the running call
	own      bool                 // serves one slow lane; never shared
	detached atomic.Bool          // lost its queue to another runner
	ended    time.Time            // when its last call returned, if nothing came between
}

// now is the time, for decisions that may be microseconds late: between two quick
// lanes it is when the first one's call returned.
func (r *runner) now() time.Time {
	t := r.ended
	r.ended = time.Time{}
	if t.IsZero() {
		return time.Now()
	}
	return t
}

func (r *runner) shared() bool { return !r.own && !r.detached.Load() }

// schedule queues lanes whose scheduled flag the caller has set.
func (rs *runners) schedule(lanes []*lane) {
	if len(lanes) == 0 {
		return
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, l := range lanes {
		if l.ownRunner() {
			rs.spawnLocked(&runner{own: true}, l.run)
			continue
		}
		rs.queue = append(rs.queue, waiter{lane: l})
	}
	rs.staffLocked()
}

// wake queues lanes whose wait on a wheel is over. Whether they still wait is found
// out where they run: the lane's memory is then touched on one processor only.
func (rs *runners) wake(ws []waiter) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.queue = append(rs.queue, ws...)
	rs.staffLocked()
}

func (rs *runners) scheduleOne(l *lane) { rs.schedule([]*lane{l}) }

// staffLocked starts a runner when there is work and none, or too much for those
// there are.
func (rs *runners) staffLocked() {
	waiting := len(rs.queue) - rs.head
	if waiting == 0 || len(rs.active) >= rs.most || (len(rs.active) > 0 && waiting < secondRunner) {
		return
	}
	r := &runner{}
	rs.active = append(rs.active, r)
	rs.spawnLocked(r, rs.serve)
	if !rs.watching {
		rs.watching = true
		rs.spawnLocked(&runner{own: true}, func(*runner) { rs.watch() })
	}
}

func (rs *runners) serve(r *runner) {
	for {
		x := rs.next(r)
		l := x.lane
		switch {
		case l == nil:
			return
		case x.gen != 0 && !l.wakeUp(x.gen):
			continue
		case l.ownRunner():
			rs.spawn(&runner{own: true}, l.run)
			continue
		}
		l.run(r)
		if r.detached.Load() {
			return
		}
	}
}

// ownRunner says that the lane does not share a runner: its calls are slow, or it has
// made none and the calls of its entry's other lanes are. Thousands of lanes that came
// together would else each hold up a shared runner until the watcher finds them.
func (l *lane) ownRunner() bool {
	return l.slow.Load() || l.entry.slow.Load() && l.fresh.Load()
}

// spawn runs f on a goroutine that idle waits for, as a runner.
func (rs *runners) spawn(r *runner, f func(*runner)) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.spawnLocked(r, f)
}

// spawnPlain is for what calls no flusher under supervision of a lane.
func (rs *runners) spawnPlain(f func()) {
	rs.spawn(&runner{own: true}, func(*runner) { f() })
}

func (rs *runners) spawnLocked(r *runner, f func(*runner)) {
	rs.live++
	go func() {
		defer rs.ended()
		defer rs.crash()
		defer rs.exited(r)
		f(r)
	}()
}

// exited is the last thing a runner does. If a call still runs then, the flusher
// has ended the goroutine: somebody else takes the queue, and the call ends as a
// panic would.
func (rs *runners) exited(r *runner) {
	c := r.call.Load()
	if c == nil {
		return
	}
	rs.mu.Lock()
	r.detached.Store(true)
	rs.removeLocked(r)
	rs.staffLocked()
	rs.mu.Unlock()
	c.lane.exited(r, c)
}

func (rs *runners) ended() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.live--; rs.live == 0 {
		for _, ch := range rs.quiet {
			close(ch)
		}
		rs.quiet = nil
	}
}

// idle is closed as soon as no lane runs.
func (rs *runners) idle() <-chan struct{} {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	ch := make(chan struct{})
	if rs.live == 0 {
		close(ch)
	} else {
		rs.quiet = append(rs.quiet, ch)
	}
	return ch
}

// next pops a lane, or ends the runner.
func (rs *runners) next(r *runner) waiter {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.detached.Load() {
		return waiter{}
	}
	if rs.head == len(rs.queue) {
		rs.queue, rs.head = rs.queue[:0], 0
		rs.removeLocked(r)
		return waiter{}
	}
	x := rs.queue[rs.head]
	rs.queue[rs.head] = waiter{}
	rs.head++
	if rs.head > 1024 && rs.head*2 > len(rs.queue) {
		n := copy(rs.queue, rs.queue[rs.head:])
		clear(rs.queue[n:])
		rs.queue, rs.head = rs.queue[:n], 0
	}
	return x
}

func (rs *runners) removeLocked(r *runner) {
	for i := range rs.active {
		if rs.active[i] == r {
			rs.active = append(rs.active[:i], rs.active[i+1:]...)
			return
		}
	}
}

// watch lives while there are runners.
func (rs *runners) watch() {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for range t.C {
		rs.mu.Lock()
		if len(rs.active) == 0 {
			rs.watching = false
			rs.mu.Unlock()
			return
		}
		now := clock.Now()
		for i := len(rs.active) - 1; i >= 0; i-- {
			r := rs.active[i]
			c := r.call.Load()
			if c == nil || now-c.started.Load() < int64(slowCall) {
				continue
			}
			r.detached.Store(true)
			rs.removeLocked(r)
			c.lane.entry.slow.Store(true)
			c.arm(c.left(now))
		}
		rs.staffLocked()
		rs.mu.Unlock()
	}
}
