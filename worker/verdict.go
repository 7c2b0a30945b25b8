package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
)

// verdict is an error of a flusher, read while its call was still supervised. The
// methods of a foreign error may panic, hang, or answer differently the next time:
// nothing outside of the call asks them again.
type verdict struct {
	class  flushers.Class
	after  time.Duration
	text   string
	failed map[int]*verdict // of a partial result: every index is within the batch
	stack  []byte           // of a panic
	hung   bool             // a Flush that did not return and was abandoned
}

// verdictText bounds what is kept of an error, in bytes.
const verdictText = 4 << 10

// Error implements error.
func (v *verdict) Error() string { return v.text }

// judge reads the error of a call about a batch of n groups; nil is success.
func judge(err error, n int) *verdict {
	if err == nil {
		return nil
	}
	class, after := flushers.Classify(err)
	if class == flushers.ClassPartial {
		return judgePartial(err, n)
	}
	return &verdict{class: class, after: after, text: truncate(err.Error(), verdictText)}
}

// judgePartial believes a partial result only if all of it can be about this batch.
func judgePartial(err error, n int) *verdict {
	var partial *flushers.PartialError
	if !errors.As(err, &partial) || partial == nil {
		return &verdict{class: flushers.ClassRetry, text: "the flusher says that groups failed, and not which"}
	}
	v := &verdict{class: flushers.ClassPartial, failed: make(map[int]*verdict, min(len(partial.Failed), n))}
	for i, why := range partial.Failed {
		if i < 0 || i >= n {
			text := fmt.Sprintf("the flusher says that group %d failed, of a batch of %d: %v", i, n, err)
			return &verdict{class: flushers.ClassRetry, text: truncate(text, verdictText)}
		}
		if v.failed[i] = judge(why, 0); why == nil {
			v.failed[i] = &verdict{class: flushers.ClassRetry, text: "the flusher did not say why it failed"}
		}
	}
	v.text = truncate(err.Error(), verdictText)
	return v
}

// graver is which of two failures of one call says when to try again: that of the
// longest wait, which is a misconfigured destination's unless it asks for more.
func (v *verdict) graver(other *verdict) *verdict {
	if v == nil || other.wait() > v.wait() {
		return other
	}
	return v
}

// wait is the least time that a failure asks for by itself.
func (v *verdict) wait() time.Duration {
	switch v.class {
	case flushers.ClassRetryAfter:
		return v.after
	case flushers.ClassMisconfigured:
		return misconfiguredRetry
	}
	return -1
}

// contain turns a panic of a flusher into the verdict of that call.
func contain(m method, v **verdict) {
	if p := recover(); p != nil {
		*v = &verdict{
			class: flushers.ClassPanic, text: truncate(fmt.Sprintf("the flusher panicked in %s: %v", m, p), verdictText),
			stack: debug.Stack(),
		}
	}
}

// exit is the verdict of a call that ended its goroutine instead of returning.
func exit(m method) *verdict {
	return &verdict{class: flushers.ClassPanic, text: "the flusher ended its goroutine (runtime.Goexit) in " + m.String()}
}

// exited finishes a call whose goroutine the flusher ended. It runs in that
// goroutine's last breath, so somebody else runs the lane on.
func (l *lane) exited(r *runner, c *call) {
	m := c.which()
	v, inst, b := exit(m), c.inst, c.batch
	began := clock.Time(c.started.Load())
	on := false // the token is still ours
	switch m {
	case callInit:
		inst.discard()
		on = l.opened(r, c, v)
	case callIsReady:
		if _, ours, asked, why := l.answered(r, c, began, false, v); ours {
			l.notReady(b, asked, why)
		}
	case callSetUrgent:
		on = l.hurried(r, c, v)
	case callFlush:
		on = l.landed(r, c, began, v)
		if inst.concurrent > 1 {
			on = false
			l.flightEnded()
		}
	}
	l.w.work.pass(l.w.runners.schedule) // a turn in the line may have gone with the goroutine
	if on {
		l.w.runners.scheduleOne(l)
	}
}
