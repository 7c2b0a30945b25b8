package worker

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
)

const (
	notReady    = "IsReady is false"
	readyFirst  = 100 * time.Millisecond
	readyMost   = 500 * time.Millisecond
	readyUrgent = 10 * time.Millisecond
	holdPoll    = 500 * time.Millisecond
)

// ensure has the lane an instance that was told what it has to know. False: the
// token went elsewhere.
func (l *lane) ensure(r *runner) bool {
	if l.renew.Load() && !l.letGo() {
		return false
	}
	if l.inst == nil && !l.open(r) {
		return false
	}
	if l.w.urgent.Load() && !l.inst.urgent.Load() {
		if !l.setInstance(l.inst) {
			return false
		}
		inst, c := l.inst, l.call
		c.inst = inst
		c.begin(r, otherLimit, time.Now())
		err := inst.setUrgent(true)
		if !c.end(r) {
			l.returned(inst)
			return false
		}
		if err != nil {
			l.log().Error("SetUrgent failed", zap.Error(err))
		}
		return l.setInstance(inst) // unless the lane is gone
	}
	return true
}

// letGo gives up an instance that was spent. False: the lane is gone.
func (l *lane) letGo() bool {
	l.renew.Store(false)
	old := l.inst
	keep := old
	if old != nil && old.spent.Load() {
		keep = nil
	}
	if !l.setInstance(keep) {
		l.renew.Store(true)
		return false
	}
	if old != keep && old.left() {
		l.w.runners.spawn(func() { old.stop(false, otherLimit) })
	}
	return true
}

// open makes and Inits the lane's instance.
func (l *lane) open(r *runner) bool {
	l.mu.Lock()
	if l.gone || l.idleLocked(time.Now()) {
		l.scheduled = false
		l.mu.Unlock()
		return false
	}
	if l.before != nil {
		select {
		case <-l.before.stopped:
			l.before = nil
		default:
			l.waitLocked(starting, "the previous instance has not stopped", readyFirst)
			l.mu.Unlock()
			return false
		}
	}
	if now := time.Now(); now.Before(l.notBefore) && !l.w.urgent.Load() {
		l.waitLocked(l.state, l.why, l.notBefore.Sub(now))
		l.mu.Unlock()
		return false
	}
	if l.wedgedLocked() {
		l.mu.Unlock()
		return false
	}
	l.setLocked(starting, l.why, time.Now())
	l.mu.Unlock()

	inst := newInstance(l)
	c := l.call
	c.inst = inst
	c.begin(r, initLimit, time.Now())
	err := inst.init()
	if !c.end(r) {
		if err != nil { // nothing to stop
			inst.stopOnce.Do(func() { inst.discard(); inst.over() })
		}
		inst.left() // the lane never had it
		l.returned(inst)
		return false
	}
	if err == nil {
		l.opening = nil
		if !l.setInstance(inst) { // the process has stopped meanwhile
			go inst.stop(true, otherLimit)
			return false
		}
		return true
	}
	inst.discard()
	l.openFailed(err)
	return false
}

// setInstance is for the token's holder, which alone may read inst without the
// lock. False: the lane is gone.
func (l *lane) setInstance(inst *instance) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		l.scheduled = false
		return false
	}
	l.inst, l.flusher = inst, nil
	if inst != nil {
		l.flusher = inst.f
	}
	return true
}

func (l *lane) openFailed(err error) {
	if l.opening == nil {
		l.opening = newBackoff(l.entry)
	}
	// The wheel's turns are shorter than these waits: open looks at notBefore.
	state, wait := backingOff, l.opening.next()
	if class, _ := flushers.Classify(err); class == flushers.ClassMisconfigured {
		state, wait = misconfigured, misconfiguredRetry
	}
	if l.w.urgent.Load() {
		wait = urgentRetry
	}
	l.speak(fmt.Errorf("couldn't start the flusher: %w", err), wait)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notBefore = time.Now().Add(wait)
	l.waitLocked(state, "Init: "+err.Error(), wait)
}

// wedgedLocked waits while too many calls are abandoned to start another.
func (l *lane) wedgedLocked() bool {
	if l.abandoned < laneAbandoned && l.entry.abandoned.Load() < entryAbandoned && l.w.abandoned.Load() < processAbandoned {
		return false
	}
	l.waitLocked(wedged, fmt.Sprintf("%d calls into this lane's flusher have not returned (%d of the flusher entry)",
		l.abandoned, l.entry.abandoned.Load()), holdPoll)
	return true
}

// attempt carries one batch through work bytes, IsReady and Flush. False: the
// token went elsewhere.
func (l *lane) attempt(r *runner, b *batch, turn bool) bool {
	need := b.size + callBytes
	if l.entry.Kind.Raw {
		need = callBytes
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
	l.askAgain = 0
	for !b.hold() {
		if !l.keepOpen(b) {
			return true
		}
	}
	inst := l.inst
	inst.calls.Add(1)
	if inst.concurrent > 1 {
		l.w.runners.spawn(func() {
			l.flight(&runner{own: true}, &call{lane: l}, inst, b)
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

// ready asks IsReady before a Flush; unless it is true, the bytes and the parts go
// back and the lane asks again later.
func (l *lane) ready(r *runner, b *batch) bool {
	ok, ours, asked, why := l.ask(r, b, l.looked)
	if ok || !ours { // an abandoned call has given the batch back
		return ok
	}
	l.giveWork(b)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.putBackLocked(b)
	l.unreadyLocked(asked, why)
	return false
}

// readyAgain asks a lane that was not ready, before anything is prepared: ten
// thousand unready lanes cost only this.
func (l *lane) readyAgain(r *runner) bool {
	ok, ours, asked, why := l.ask(r, nil, time.Now())
	if ok || !ours {
		return ok
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head != nil || len(l.retry) > 0 || !l.idleLocked(l.ended) {
		l.unreadyLocked(asked, why)
	}
	return false
}

// ask calls IsReady and says when. ours is false if the call was abandoned and the
// token is gone.
func (l *lane) ask(r *runner, b *batch, now time.Time) (ok, ours bool, asked time.Time, why string) {
	inst, c := l.inst, l.call
	c.inst, c.batch = inst, b
	began := c.begin(r, readyLimit, now)
	ok, err := l.isReady()
	if !c.end(r) {
		l.returned(inst)
		return false, false, began, ""
	}
	c.batch = nil
	if ok && !r.shared() {
		ok = time.Since(began) < readySlow
	}
	if err != nil {
		l.entry.errors[flushers.ClassPanic].Add(1)
		return false, true, began, "IsReady: " + err.Error()
	}
	return ok, true, began, notReady
}

// unreadyLocked has the lane asked again later.
func (l *lane) unreadyLocked(asked time.Time, why string) {
	if l.askAgain = l.askAgain * 3 / 2; l.askAgain < readyFirst {
		l.askAgain = readyFirst
	}
	l.askAgain = min(l.askAgain, readyMost)
	wait := jitter(l.askAgain)
	if l.w.urgent.Load() {
		wait = readyUrgent
	}
	l.waitFromLocked(asked, unready, why, wait)
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
	c.inst, c.batch, c.flushing = inst, b, true
	began := c.begin(r, l.entry.FlushTimeout+flushGrace, time.Now())
	err := inst.flush(b, began)
	ours := c.end(r)
	took := time.Since(began)
	inst.calls.Done()
	l.entry.seconds.observe(took)
	if !ours {
		l.late(b, inst, err)
		return false
	}
	c.batch, c.flushing = nil, false
	if inst.concurrent == 1 {
		l.noteTime(took)
		l.ended = began.Add(took)
		r.ended = l.ended
	}
	l.giveWork(b)
	l.finish(b, err)
	return true
}

// noteTime decides whether the lane's calls are quick enough to share a runner.
func (l *lane) noteTime(took time.Duration) {
	l.took += (took - l.took) / 4
	if slow := l.took > quickCall; slow != l.slow.Load() {
		l.slow.Store(slow)
	}
}

// flightEnded schedules a lane that waited for a concurrent flight to end.
func (l *lane) flightEnded() {
	l.mu.Lock()
	run := !l.scheduled && !l.gone && (l.head != nil || len(l.retry) > 0)
	if run {
		l.scheduled = true
	} else if !l.scheduled {
		l.idleLocked(time.Now())
	}
	l.mu.Unlock()
	if run {
		l.w.runners.scheduleOne(l)
	}
}

// finish turns the result of a Flush into ends and retries.
func (l *lane) finish(b *batch, err error) {
	if err == nil {
		l.delivered(b)
		return
	}
	class, after := classify(err)
	l.entry.errors[class].Add(1)
	switch {
	case class == flushers.ClassPartial:
		l.partly(b, err)
	case class == flushers.ClassPermanent && len(b.parts) == 1:
		l.doomBatch(b, ReasonPermanent, err)
	case class == flushers.ClassTooLarge && len(b.parts) == 1:
		l.doomBatch(b, ReasonTooLarge, err)
	default: // refused as a whole: halves find the part that is to blame
		l.failed(b, failure{class, after, err})
	}
}

func classify(err error) (flushers.Class, time.Duration) {
	var p *panicError
	if errors.As(err, &p) {
		return flushers.ClassPanic, 0
	}
	return flushers.Classify(err)
}

// delivered ends all parts of a batch as flushed.
func (l *lane) delivered(b *batch) {
	l.clearStreaks(b.parts)
	l.mu.Lock()
	l.landLocked(b)
	l.failing = false
	l.why, l.lastError = "", ""
	for i, p := range b.parts {
		if !l.endLocked(p, flushed, "") { // released while Flush ran, or ended by another call
			l.w.late.Add(1)
			p.m.drop(1)
			b.parts[i] = nil
		}
	}
	l.mu.Unlock()
	for _, p := range b.parts {
		if p != nil {
			p.m.partEnded(2) // the part's hold and that of the call
		}
	}
	b.recycle()
}

// failed keeps the batch for another try.
func (l *lane) failed(b *batch, f failure) {
	b.dropHolds()
	b.forgetDecoded()
	l.mu.Lock()
	l.landLocked(b)
	wait := l.keepLocked(b, f)
	l.mu.Unlock()
	if wait > 0 {
		l.speak(f.err, wait)
	}
}

// failure is why a batch has to be tried again.
type failure struct {
	class flushers.Class
	after time.Duration
	err   error
}

// keepLocked keeps a failed batch and says for how long; 0 for halves, which are
// tried at once.
func (l *lane) keepLocked(b *batch, f failure) time.Duration {
	if !b.keepOpen() {
		return 0
	}
	wait, state := time.Duration(-1), backingOff
	l.failing, l.probe = true, true
	switch f.class {
	case flushers.ClassPermanent, flushers.ClassTooLarge:
		l.failing = false
		if len(b.parts) > 1 {
			l.retryLocked(b.split(), 0)
		}
		l.retryLocked(b, 0)
		return 0
	case flushers.ClassMisconfigured:
		wait, state, l.probe = misconfiguredRetry, misconfigured, false
	case flushers.ClassRetryAfter:
		wait, l.probe = f.after, false
		l.notBefore = time.Now().Add(wait)
	}
	wait = l.retryLocked(b, wait)
	l.setLocked(state, f.err.Error(), time.Now())
	l.lastError = l.why
	return wait
}

// partly ends the groups of a batch that are durable, dead-letters what never can
// be, and keeps the rest.
func (l *lane) partly(b *batch, err error) {
	var partial *flushers.PartialError
	errors.As(err, &partial)
	if why := misfit(partial, len(b.parts)); why != nil {
		l.failed(b, failure{class: flushers.ClassRetry, err: why})
		return
	}
	var good []*part
	var bad []doomed
	var rest failure
	keep := newBatch(l)
	keep.attempt, keep.backoff = b.attempt, b.backoff
	for i, p := range b.parts {
		why, named := partial.Failed[i]
		if named && why == nil {
			why = errNoReason
		}
		switch class, after := classify(why); class {
		case flushers.ClassNone:
			good = append(good, p)
		case flushers.ClassPermanent:
			bad = append(bad, doomed{p, ReasonPermanent, why, b.attempt})
		case flushers.ClassTooLarge:
			bad = append(bad, doomed{p, ReasonTooLarge, why, b.attempt})
		default:
			keep.add(p)
			rest = failure{class, max(after, rest.after), why}
		}
	}
	l.mu.Lock()
	l.landLocked(b)
	good = l.endAllLocked(good)
	for _, d := range bad {
		l.dying = append(l.dying, d.p)
	}
	l.keepLocked(keep, rest)
	l.mu.Unlock()

	b.dropHolds()
	if len(good) > 0 {
		l.clearStreaks(good)
	}
	for _, p := range good {
		p.m.partEnded(1)
	}
	l.w.letters.add(bad)
	b.recycle()
}

var errNoReason = errors.New("the flusher did not say why it failed")

// misfit is why a partial result cannot be about a batch of n groups: then nothing
// of it may be believed.
func misfit(partial *flushers.PartialError, n int) error {
	for i := range partial.Failed {
		if i < 0 || i >= n {
			return fmt.Errorf("the flusher says that group %d failed, of a batch of %d: %w", i, n, partial)
		}
	}
	return nil
}

// endAllLocked ends parts as flushed and returns those that had not ended before.
func (l *lane) endAllLocked(parts []*part) []*part {
	n := 0
	for _, p := range parts {
		if l.endLocked(p, flushed, "") {
			parts[n] = p
			n++
		} else {
			l.w.late.Add(1)
		}
	}
	return parts[:n]
}

// doomBatch sends the single part of a batch to the dead letters.
func (l *lane) doomBatch(b *batch, reason string, err error) {
	b.dropHolds()
	d := doomed{b.parts[0], reason, err, b.attempt}
	l.mu.Lock()
	l.landLocked(b)
	l.dying = append(l.dying, d.p)
	l.mu.Unlock()
	b.recycle()
	l.w.letters.add([]doomed{d})
}

// late settles what an abandoned call brought after all: a nil ends those of its
// parts that are still open.
func (l *lane) late(b *batch, inst *instance, err error) {
	b.dropHolds()
	l.w.late.Add(1)
	if err == nil {
		l.mu.Lock()
		ended := l.endAllLocked(b.parts)
		l.mu.Unlock()
		for _, p := range ended {
			p.m.partEnded(1)
		}
	}
	l.giveWork(b)
	l.returned(inst)
}

// dropHolds gives up what a call held; the parts go on holding their messages.
func (b *batch) dropHolds() {
	for _, p := range b.parts {
		p.m.drop(1)
	}
}

// speak logs a failure when it begins and then at most once a minute: the rest is
// in the counters and in status.
func (l *lane) speak(err error, wait time.Duration) {
	now := time.Now()
	l.mu.Lock()
	silent := now.Sub(l.lastSpoke) < time.Minute
	if !silent {
		l.lastSpoke = now
	}
	l.mu.Unlock()
	if silent {
		return
	}
	l.log().Warn("the flusher fails; its parts wait", zap.Error(err), zap.Duration("next_try", wait))
}
