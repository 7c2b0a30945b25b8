package worker

import (
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
)

// attempt carries one batch through work bytes, IsReady and Flush. False: the
// token went elsewhere.
func (l *lane) attempt(r *runner, b *batch, turn bool) bool {
	need := l.version.callBytes()
	if !l.version.Kind.Raw {
		need += b.size
	}
	if !l.w.work.take(l.entry, need, turn) {
		// The batch goes back first: from enter on somebody else may run the lane.
		l.standInLine(b)
		l.w.work.enter(l, need, turn, l.w.runners.schedule)
		return false
	}
	b.need = need
	if !l.ready(r, b) {
		return false
	}
	l.askAgain.Store(0)
	for !b.hold() {
		if !l.keepOpen(b) {
			return true
		}
	}
	inst := l.inst
	inst.calls.Add(1)
	if inst.concurrent > 1 {
		l.w.runners.spawn(&runner{own: true}, func(r *runner) {
			l.flight(r, &call{lane: l}, inst, b)
			l.flightEnded()
		})
		return true
	}
	return l.flight(r, l.call, inst, b)
}

// keepOpen drops parts from a batch in hand that were released meanwhile. False:
// that was all of them.
func (l *lane) keepOpen(b *batch) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.keepOpen() {
		return true
	}
	l.landLocked(b)
	l.giveWork(b)
	b.recycle()
	return false
}

func (l *lane) standInLine(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.putBackLocked(b)
	l.setLocked(workWait, "the work pool is used up", time.Now())
}

func (l *lane) giveWork(b *batch) {
	if need := b.need; need != 0 {
		b.need = 0
		l.w.work.give(l.entry, need, l.w.runners.schedule)
	}
}

// flight runs pass two and Flush, and ends what can be ended. False: the call was
// abandoned and the lane has gone on.
func (l *lane) flight(r *runner, c *call, inst *instance, b *batch) bool {
	b.decode(inst)
	for i := 0; mutant.On(mutant.AckBeforeFlush) && i < len(b.parts); i++ {
		b.parts[i].m.settle((*message).acknowledge)
	}
	c.inst, c.batch = inst, b
	began := c.begin(r, callFlush, time.Now())
	v := inst.flush(b, began)
	failpoint.Hit(failpoint.FlushAfter)
	return l.landed(r, c, began, v)
}

// landed takes what Flush brought. False: the call was abandoned.
func (l *lane) landed(r *runner, c *call, began time.Time, v *verdict) bool {
	inst, b := c.inst, c.batch
	ours := c.end(r)
	took := time.Since(began)
	inst.calls.Done()
	l.entry.seconds.observe(took)
	if !ours {
		l.late(c, v)
		return false
	}
	c.batch = nil
	if inst.concurrent == 1 {
		l.noteTime(took)
		l.ended = began.Add(took)
		r.ended = l.ended
	}
	l.giveWork(b)
	l.finish(b, v)
	return true
}

// noteTime decides whether the lane's calls are quick enough to share a runner.
func (l *lane) noteTime(took time.Duration) {
	average := time.Duration(l.took.Load())
	average += (took - average) / 4
	l.took.Store(int64(average))
	slow := average > quickCall
	if slow != l.slow.Load() {
		l.slow.Store(slow)
	}
	if l.fresh.Load() { // the entry's next new lane begins as this one turned out
		l.fresh.Store(false)
		if slow != l.entry.slow.Load() {
			l.entry.slow.Store(slow)
		}
	}
}

// flightEnded schedules a lane that waited for a concurrent flight to end.
func (l *lane) flightEnded() {
	l.mu.Lock()
	run := !l.gone && (!l.emptyLocked() || len(l.retry) > 0 || l.outdated())
	switch {
	case !l.scheduled && run:
		l.scheduled = true
	case !l.scheduled:
		l.idleLocked(time.Now())
	case run && l.waiting && l.movesLocked() && !mutant.On(mutant.LateRetry):
		l.waiting = false
	default:
		run = false
	}
	l.mu.Unlock()
	if run {
		l.w.runners.scheduleOne(l)
	}
}

// movesLocked says whether the end of a flight may end the lane's wait: it left a batch
// that is due before what the lane waits for, or it succeeded, so that new parts may
// be tried.
func (l *lane) movesLocked() bool {
	if l.inst == nil || l.askAgain.Load() != 0 { // it waits for Init or for IsReady
		return false
	}
	switch l.state {
	case backingOff, misconfigured:
		return true
	case batching:
		return len(l.retry) > 0
	}
	return false
}
