package worker

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// farewell is longer than the last calls of an instance can take until they are given
// up.
const farewell = 2*otherLimit + otherLimit/2

// stop tells the instance that it is replaced or idle, or that the process exits,
// waits for its calls, and stops it. It returns when Stop did or was given up, and
// at the latest after patience; calls after the first wait for that.
func (inst *instance) stop(urgent bool, patience time.Duration) {
	stopped, first := inst.beginStop()
	if first {
		go func() {
			defer inst.lane.w.crash()
			inst.stopNow(urgent)
		}()
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-stopped:
	case <-t.C:
		inst.lane.log().Warn("the flusher did not stop in time; it is left behind", zap.Duration("after", patience))
		inst.over()
	}
}

// beginStop returns what is closed when the instance has stopped. The first who asks has
// to see to it.
func (inst *instance) beginStop() (stopped <-chan struct{}, first bool) {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	if first = inst.stopped == nil; first {
		inst.stopped = make(chan struct{})
	}
	return inst.stopped, first
}

func (inst *instance) hasStopped() bool {
	inst.mu.Lock()
	defer inst.mu.Unlock()
	return inst.hasStoppedLocked()
}

func (inst *instance) hasStoppedLocked() bool {
	select {
	case <-inst.stopped:
		return true
	default:
		return false
	}
}

// over lets the next instance of the lane begin.
func (inst *instance) over() {
	inst.mu.Lock()
	if !inst.hasStoppedLocked() {
		close(inst.stopped)
	}
	inst.mu.Unlock()
	inst.cancel(context.Canceled)
}

// stopNow is written with defer, because it goes on where a flusher ends the
// goroutine.
func (inst *instance) stopNow(urgent bool) {
	defer inst.over()
	defer inst.bid(callRelease, func() *verdict { inst.discard(); return nil })
	defer inst.bid(callStop, inst.stopCall)
	inst.calls.Wait()
	if !inst.urgent.Load() || !urgent { // it may have been told already
		inst.bid(callSetUrgent, func() *verdict { return inst.setUrgent(urgent) })
	}
}

// bid makes one of the last calls. When it outlasts its limit the instance is left
// behind with it: the next one may begin, and the call counts as abandoned until it
// returns.
func (inst *instance) bid(m method, f func() *verdict) {
	w := watch{inst: inst, m: m}
	w.timer = time.AfterFunc(m.limit(inst.version), w.giveUp)
	v := exit(m)
	defer func() {
		w.returned()
		if v != nil {
			inst.lane.log().Error("a call into the flusher failed", zap.Stringer("call", m), zap.String("error", v.text), zap.ByteString("stack", v.stack))
		}
	}()
	v = f()
}

// watch waits for one of the last calls of an instance.
type watch struct {
	inst  *instance
	m     method
	timer *time.Timer
	state atomic.Int32 // 0: runs, 1: given up, 2: returned in time
}

func (w *watch) giveUp() {
	if !w.state.CompareAndSwap(0, 1) {
		return
	}
	inst := w.inst
	inst.entry.abandoned.Add(1)
	inst.lane.w.abandoned.Add(1)
	inst.lane.log().Warn("a call into the flusher did not return in time; its instance is left behind",
		zap.Stringer("call", w.m), zap.Duration("limit", w.m.limit(inst.version)))
	inst.over()
}

func (w *watch) returned() {
	w.timer.Stop()
	if w.state.CompareAndSwap(0, 2) {
		return
	}
	w.inst.entry.abandoned.Add(-1)
	w.inst.lane.w.abandoned.Add(-1)
	w.inst.lane.log().Info("an abandoned call has returned", zap.Stringer("call", w.m))
}

func (inst *instance) stopCall() (v *verdict) {
	defer contain(callStop, &v)
	return judge(inst.f.Stop(), 0)
}

// discard ends the runtime context and the shared values of an instance that
// failed Init or has stopped.
func (inst *instance) discard() {
	inst.cancel(context.Canceled)
	inst.mu.Lock()
	releases := inst.releases
	inst.releases, inst.done = nil, true
	inst.mu.Unlock()
	for _, release := range releases {
		defer inst.release(release) // each of them, also when one ends the goroutine
	}
}

// release gives back a shared value. Its Close may be one that panics when the
// flusher has closed the value itself.
func (inst *instance) release(release func()) {
	v := exit(callRelease)
	defer func() {
		if v != nil {
			inst.lane.log().Error("a call into the flusher failed", zap.Stringer("call", callRelease), zap.String("error", v.text), zap.ByteString("stack", v.stack))
		}
	}()
	v = func() (v *verdict) {
		defer contain(callRelease, &v)
		release()
		return nil
	}()
}
