package worker

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
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
	class, _ := classify(err)
	if class == flushers.ClassMisconfigured {
		state, wait = misconfigured, misconfiguredRetry
	}
	if l.w.urgent.Load() {
		wait = urgentRetry
	}
	l.speak(class, fmt.Errorf("couldn't start the flusher: %w", err), wait)
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
