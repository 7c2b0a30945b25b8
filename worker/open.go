package worker

import (
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
)

// ensure has the lane an instance that was told what it has to know. False: the
// token went elsewhere.
func (l *lane) ensure(r *runner) bool {
	for l.renew.Load() || l.outdated() || l.inst == nil || l.w.pauses.Load() != nil || l.entry.isLeaving() {
		switch {
		case l.renew.Load():
			if !l.letGo() {
				return false
			}
			continue
		case l.outdated():
			if !l.adopt() {
				return false
			}
			continue
		case l.expelled(), l.paused():
			return false
		}
		if l.inst == nil && !l.open(r) {
			return false
		}
		if !l.renew.Load() && !l.outdated() {
			break
		}
	}
	if (l.w.urgent.Load() || l.entry.isLeaving()) && !l.inst.urgent.Load() {
		return l.setInstance(l.inst) && l.hurry(r)
	}
	return true
}

// hurry tells the instance that the process exits. False: the token went elsewhere.
func (l *lane) hurry(r *runner) bool {
	if l.deaf { // its calls of SetUrgent hang
		l.inst.urgent.Store(true)
		return true
	}
	inst, c := l.inst, l.call // from begin on the lane may go on without us
	c.inst = inst
	c.begin(r, callSetUrgent, time.Now())
	v := inst.setUrgent(true)
	return l.hurried(r, c, v)
}

// hurried goes on after SetUrgent. False: the call was abandoned, or the lane is
// gone.
func (l *lane) hurried(r *runner, c *call, v *verdict) bool {
	if !c.end(r) {
		l.returned(c)
		return false
	}
	if v != nil {
		l.log().Error("a call into the flusher failed", zap.Stringer("call", callSetUrgent), zap.Error(v))
	}
	return l.setInstance(c.inst)
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
		l.w.runners.spawnPlain(func() { old.stop(false, farewell) })
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
	if !l.followsLocked() {
		l.waitLocked(starting, "the previous instance has not stopped", readyFirst)
		l.mu.Unlock()
		return false
	}
	l.before = nil
	if now := time.Now(); l.notBefore.After(now) && !l.w.urgent.Load() {
		l.waitLocked(l.state, l.why, -l.notBefore.Age(now))
		l.mu.Unlock()
		return false
	}
	if l.wedgedLocked() {
		l.mu.Unlock()
		return false
	}
	l.setLocked(starting, l.why, time.Now())
	l.mu.Unlock()

	inst, c := newInstance(l), l.call
	c.inst, c.batch = inst, nil
	c.begin(r, callInit, time.Now())
	v := inst.init()
	return l.opened(r, c, v)
}

// opened takes what Init brought. False: the token went elsewhere.
func (l *lane) opened(r *runner, c *call, v *verdict) bool {
	inst := c.inst
	if !c.end(r) {
		if v != nil { // nothing to stop
			if _, first := inst.beginStop(); first {
				inst.over()
			}
		}
		inst.left() // the lane never had it
		l.returned(c)
		return false
	}
	if v != nil {
		l.openFailed(v)
		return false
	}
	l.opening = nil
	if !l.setInstance(inst) { // the process has stopped meanwhile
		l.w.runners.spawnPlain(func() { inst.stop(true, farewell) })
		return false
	}
	return true
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
	l.inst = inst
	return true
}

func (l *lane) openFailed(v *verdict) {
	if l.opening == nil {
		l.opening = newBackoff(l.version.RetryInitial, l.version.RetryMax)
	}
	// The wheel's turns are shorter than these waits: open looks at notBefore.
	state, wait := backingOff, l.opening.next()
	l.entry.errors[v.class].Add(1)
	if v.class == flushers.ClassMisconfigured {
		state, wait = misconfigured, misconfiguredRetry
	}
	if l.w.urgent.Load() {
		wait = urgentRetry
	}
	l.speak(&verdict{class: v.class, text: "couldn't start the flusher: " + v.text, stack: v.stack}, wait)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gaveUpLocked(nil, "Init: "+v.text, false) {
		l.idleLocked(time.Now())
		return
	}
	l.notBefore = clock.At(time.Now().Add(wait))
	l.waitLocked(state, "Init: "+v.text, wait)
}
