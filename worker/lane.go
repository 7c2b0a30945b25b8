package worker

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/protocol"
)

// laneState is what a lane does or waits for, for people. The token decides what
// happens (see lane.scheduled).
type laneState uint8

const (
	idle laneState = iota
	queued
	batching
	starting
	flushing
	unready
	backingOff
	misconfigured
	workWait
	wedged
	holding
	paused
	rateLimited
)

var laneStates = [...]string{
	LaneIdle, LaneQueued, LaneBatching, LaneStarting, LaneFlushing, LaneUnready,
	LaneBackoff, LaneMisconfigured, LaneWorkWait, LaneWedged, LaneHolding, LanePaused, LaneRateLimited,
}

func (s laneState) String() string { return laneStates[s] }

// lane is one key of one route toward one flusher entry: its parts, its batch in
// hand, its readiness, its retries and its instance. Without parts it has no
// goroutine and no timer.
type lane struct {
	// The order of the fields is that of their use: ten thousand waiting lanes are
	// not in the processor's cache, and each line of it that a wake-up touches
	// costs more than the code.

	w       *Worker
	entry   *entry
	version *version // of the entry: that which inst is of. Written by the token's holder, under mu

	// Of whoever holds the token, here and below.
	inst     *instance
	call     *call
	askAgain atomic.Int64 // nanoseconds until IsReady is asked again; who parks what the lane holds resets it
	slow     atomic.Bool  // runs on a goroutine of its own
	fresh    atomic.Bool  // no Flush of it has returned yet
	renew    atomic.Bool  // an instance was spent
	workTurn bool         // it was woken from the line for work bytes
	deaf     bool         // a SetUrgent was abandoned: it is not called again

	// scheduled is the token: somebody will run the lane or runs it, or it lies on
	// the wheel or in line for work. Who sets it has to schedule.
	scheduled bool
	waiting   bool // on the wheel, and may be woken before its time
	closed    bool // the batch that forms may not wait to become fuller
	gone      bool // stopped for being idle: look the lane up again
	surplus   bool // beyond `limits.lanes`: it has no instance, and parks what comes
	oddWhy    bool // why is not notReady
	failing   bool // the last Flush failed: one batch at a time
	probe     bool // a new batch may be tried once while an older one backs off
	blamed    bool // a failure since a success is counted in firsts
	state     laneState
	waitGen   uint32 // which wait
	abandoned int32  // calls that have not returned

	books // its mutex guards all fields that are not atomic or of the token's holder

	first call // what call points to until one is abandoned

	key  protocol.Key
	hash int64

	since   time.Time // of state
	why     string
	live    fifo     // queued parts, oldest first
	served  fifo     // those that come from the parked
	retry   []*batch // failed ones, oldest first; each waits for its own next try
	flights []*batch // inside a call that is not abandoned
	park    parking
	lead    int64 // bytes that the parked were ahead, while both wait

	lastError string // of Flush, until one succeeds
	notBefore clock.Stamp
	wakes     clock.Stamp // from its wait, if that is not for IsReady: ten thousand ask every half second
	misses    int32       // plain failures since a success that were news of the destination
	serials   uint32      // of halves
	bite      int32       // groups of a batch at most, in parts of biteUnit; 0: not limited
	guard     guard

	taken     uint64 // Flush calls that succeeded, in part at least
	firsts    reliability
	known     map[protocol.ID]doubt // of groups that were parked while they were suspect
	condemned []doomed              // on their way to the dead letters, as soon as mu is free

	// Of the token's holder, seldom.
	before   *instance // has to be stopped before the next Init; under mu
	opening  *batchBackoff
	looked   time.Time    // when it took its last batch
	ended    time.Time    // when its last call returned
	took     atomic.Int64 // moving average of its Flush calls, in nanoseconds
	workNeed int64        // while in line for work bytes

	complained counted // guarded by the entry's complaints
}

func newLane(w *Worker, e *entry, key protocol.Key, now time.Time) *lane {
	l := &lane{w: w, entry: e, version: e.newest.Load(), key: key, hash: key.LogstoreKey(), since: now}
	l.first.lane, l.call = l, &l.first
	l.fresh.Store(true)
	return l
}

// offer queues parts, linked by next, of one strand. False: the lane is gone. run
// says that the caller has to schedule it. What the lane does not take is parked, or
// stays parked.
func (l *lane) offer(first, last *part, n int, bytes int64) (ok, run bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return false, false
	}
	for p := first; p != nil; p = p.next {
		p.lane, p.counted = l, true
	}
	s := first.m.strand
	l.of(s.source.index).received += int64(n)
	parks := l.entry.parkAfter.Load() != 0
	if !parks {
		l.park.off()
	}
	if l.surplus || parks && !l.admitLocked(s, first, n, bytes) {
		l.turnAwayLocked(first)
		if l.state == idle {
			l.since = first.m.received // it is in use, and not to be stopped for being idle
		}
		return true, false
	}
	if s.info.Parked {
		l.served.push(first, last, n, bytes)
	} else {
		l.live.push(first, last, n, bytes)
	}
	switch {
	case !l.scheduled:
		l.scheduled, run = true, true
		if l.state == idle {
			l.setLocked(queued, "", first.m.received)
		}
	case l.waiting && l.mayWakeLocked(first):
		l.waiting, run = false, true
	}
	return true, run
}

// emptyLocked says that nothing is queued; failed batches may be there.
func (l *lane) emptyLocked() bool { return l.live.head == nil && l.served.head == nil }

// mayWakeLocked says whether parts that were just queued, from first on, end the
// lane's wait: for a full batch, or for an older batch that new ones may pass.
func (l *lane) mayWakeLocked(first *part) bool {
	switch l.state {
	case batching:
		return l.fullLocked() || first.m.strand.info.Parked
	case backingOff:
		return (l.live.head == first || l.served.head == first) && l.inst != nil && l.mayFormLocked() && !l.notBefore.After(time.Now())
	}
	return false
}

func (l *lane) setLocked(s laneState, why string, now time.Time) {
	if why == notReady && l.state == s && !l.oddWhy {
		return // the commonest wait by far, and nothing has changed
	}
	l.oddWhy = why != notReady
	if l.state != s {
		l.state, l.since = s, now
	}
	l.why = why
}

// waitLocked gives the token to the wheel.
func (l *lane) waitLocked(s laneState, why string, d time.Duration) {
	l.waitFromLocked(time.Now(), s, why, d)
}

func (l *lane) waitFromLocked(now time.Time, s laneState, why string, d time.Duration) {
	if l.outdated() {
		d = 0 // the reload that made it so may have looked before the wait began
	}
	l.setLocked(s, why, now)
	if s != unready {
		l.wakes = clock.At(now.Add(d))
	}
	l.waiting = true
	l.waitGen++
	l.entry.wheel.add(waiter{l, l.waitGen}, now, d)
}

// wakeUp takes the token back from the wheel, unless it went elsewhere.
func (l *lane) wakeUp(gen uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waiting || l.waitGen != gen {
		return false
	}
	l.waiting = false
	return true
}

// run serves the lane until it is idle or waits. The caller holds the token; on
// return the token is elsewhere.
func (l *lane) run(r *runner) {
	turn := l.workTurn
	l.workTurn = false
	for l.ensure(r) && (l.askAgain.Load() == 0 || l.readyAgain(r)) {
		b := l.next(r.now())
		if b == nil {
			break
		}
		used := turn
		turn = false
		if !l.attempt(r, b, used) {
			return
		}
		if r.shared() { // a turn each, so that no lane starves the others of the runner
			if !l.atRest() {
				l.w.runners.scheduleOne(l)
			}
			return
		}
	}
	if turn {
		l.w.work.pass(l.w.runners.schedule)
	}
}

// atRest gives the token up if nothing came while the lane was flushed.
func (l *lane) atRest() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.emptyLocked() && len(l.retry) == 0 && l.idleLocked(l.ended)
}

// next takes the batch to flush now, or arranges when to look again. It decides
// which comes first: a failed batch that is due, else new parts; while failing one
// batch at a time, and a new one only once per failed try of the old.
func (l *lane) next(now time.Time) *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.idleLocked(now):
		return nil
	case len(l.flights) > 0 && (l.failing || l.entry.strict.Load() || len(l.flights) >= l.inst.concurrent):
		l.scheduled = false // the end of a flight schedules it again
		l.setLocked(flushing, "", now)
		return nil
	case l.holdLocked():
		return nil
	case l.notBefore.After(now) && !l.w.urgent.Load():
		l.waitLocked(backingOff, l.why, -l.notBefore.Age(now))
		return nil
	}
	if wait := l.entry.limiter.wait(l.version.Rate, now); wait > 0 {
		l.waitLocked(rateLimited, "the flusher entry has used up its `rate`", wait)
		return nil
	}
	if b := l.dueLocked(now); b != nil {
		return l.takeOffLocked(b, now)
	}
	if !l.emptyLocked() && l.mayFormLocked() {
		feeler := l.failing && len(l.retry) > 0
		if wait := l.batchWaitLocked(now); wait > 0 && !feeler {
			l.waitLocked(batching, "", min(wait, l.retryWaitLocked(now)))
			return nil
		}
		if b := l.formLocked(feeler); b != nil {
			l.probe = false
			return l.takeOffLocked(b, now)
		}
		if l.idleLocked(now) {
			return nil
		}
	}
	if len(l.retry) == 0 { // new parts came while the last were dropped
		l.waitLocked(queued, "", wheelTick)
		return nil
	}
	state := l.state
	if state != misconfigured {
		state = backingOff
	}
	l.waitLocked(state, l.why, l.retryWaitLocked(now))
	return nil
}

// mayFormLocked says whether new parts may be tried: while failing one for each try of
// the batch that failed, or because nothing is left of that batch.
func (l *lane) mayFormLocked() bool {
	if l.entry.strict.Load() {
		return len(l.retry) == 0
	}
	return !l.failing || len(l.retry) == 0 || l.probe && l.feltLocked() < feelers
}

// feltLocked is how many feelers have failed since the lane last succeeded.
func (l *lane) feltLocked() (n int) {
	for _, b := range l.retry {
		if b.feeler && b.failed == l.taken {
			n++
		}
	}
	return n
}

// idleLocked gives the token up when there is nothing to flush.
func (l *lane) idleLocked(now time.Time) bool {
	if !l.failing { // often, and there may be hundreds of suspects
		l.live.dropEnded()
		l.served.dropEnded()
		if !l.emptyLocked() || slices.ContainsFunc(l.retry, (*batch).anyOpen) {
			return false
		}
	}
	l.dropEndedLocked()
	if !l.emptyLocked() || len(l.retry) > 0 {
		return false
	}
	l.scheduled = false
	if now.IsZero() { // no call has ended yet
		now = time.Now()
	}
	if len(l.flights) == 0 {
		l.setLocked(idle, "", now)
		l.failing = false
	}
	return true
}

// dropEndedLocked forgets parts that were released or ended by a late result, so
// that nothing of theirs stays reachable.
func (l *lane) dropEndedLocked() {
	l.live.dropEnded()
	l.served.dropEnded()
	for i := 0; i < len(l.retry); {
		if l.retry[i].keepOpen() {
			i++
			continue
		}
		l.retry = slices.Delete(l.retry, i, i+1)
	}
}

// purge forgets ended parts wherever they stand in the queue.
func (l *lane) purge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live.purge()
	l.served.purge()
	l.dropEndedLocked()
}

// putBack returns a batch that was not tried: new parts to the head of the queue,
// where the next batch takes them with what came since; a failed batch as it is.
func (l *lane) putBackLocked(b *batch) {
	l.landLocked(b)
	l.entry.limiter.spend(l.version.Rate, -len(b.parts), -b.bytes)
	if b.attempt--; b.attempt > 0 {
		l.retry = append([]*batch{b}, l.retry...)
		return
	}
	q := &l.live
	if b.served() {
		q = &l.served
	}
	for i := len(b.parts) - 1; i >= 0; i-- {
		q.unpop(b.parts[i])
	}
	l.probe = true
	b.recycle()
}

func (l *lane) takeOffLocked(b *batch, now time.Time) *batch {
	b.attempt++
	l.entry.limiter.spend(l.version.Rate, len(b.parts), b.bytes)
	l.flights = append(l.flights, b)
	l.looked = now
	l.setLocked(flushing, l.why, now)
	return b
}

// landLocked removes a batch from the flights.
func (l *lane) landLocked(b *batch) {
	for i := range l.flights {
		if l.flights[i] == b {
			last := len(l.flights) - 1
			l.flights[i] = l.flights[last]
			l.flights[last] = nil
			l.flights = l.flights[:last]
			return
		}
	}
}
