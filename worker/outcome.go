package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/flushline/flushline/flushers"
)

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
		l.speak(f.class, f.err, wait)
	}
}

// failure is why a batch has to be tried again.
type failure struct {
	class flushers.Class
	after time.Duration
	err   error
}

// graver is which of two failures of one call says when to try again: that of the
// longest wait, which is a misconfigured destination's unless it asks for more.
func (f failure) graver(other failure) failure {
	if other.wait() > f.wait() || f.err == nil {
		return other
	}
	return f
}

// wait is the least time that a failure asks for by itself.
func (f *failure) wait() time.Duration {
	switch f.class {
	case flushers.ClassRetryAfter:
		return f.after
	case flushers.ClassMisconfigured:
		return misconfiguredRetry
	}
	return -1
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
			rest = rest.graver(failure{class, after, why})
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
