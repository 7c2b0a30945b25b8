package worker

import (
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
)

// finish turns the result of a Flush into ends and retries.
func (l *lane) finish(b *batch, v *verdict) {
	if v == nil {
		l.delivered(b)
		return
	}
	l.entry.errors[v.class].Add(1)
	if l.entry.strict.Load() {
		v = b.inOrder(v)
	}
	switch {
	case v.class == flushers.ClassPartial:
		l.partly(b, v)
	case v.class == flushers.ClassPermanent && len(b.parts) == 1:
		l.doomBatch(b, ReasonPermanent, v)
	case v.class == flushers.ClassTooLarge && len(b.parts) == 1:
		l.doomBatch(b, ReasonTooLarge, v)
	default: // refused as a whole: halves find the part that is to blame
		l.failed(b, v)
	}
}

// delivered ends all parts of a batch as flushed.
func (l *lane) delivered(b *batch) {
	l.clearStreaks(b.parts)
	l.mu.Lock()
	l.landLocked(b)
	l.failing = false
	l.why, l.lastError = "", ""
	l.answeredLocked()
	l.tookLocked()
	l.tellTwinLocked(b, true)
	if b.attempt == 1 && len(b.parts) == 1 {
		l.firstLocked(1, 0)
	}
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
			if last := p.m.partEnded(2); !last { // the part's hold and that of the call
				failpoint.Hit(failpoint.PartsBetween)
			}
		}
	}
	b.recycle()
}

// failed keeps the batch for another try.
func (l *lane) failed(b *batch, v *verdict) {
	for i := 0; mutant.On(mutant.ReleaseRunning) && i < len(b.parts); i++ {
		b.parts[i].m.settle((*message).giveBack)
	}
	b.dropHolds()
	b.forgetDecoded()
	l.mu.Lock()
	l.landLocked(b)
	wait := l.keepLocked(b, v)
	sentenced := len(l.condemned) > 0
	l.mu.Unlock()
	if sentenced {
		l.sentenced()
	}
	if wait > 0 {
		l.speak(v, wait)
	}
}

// keepLocked keeps a failed batch and says for how long; 0 for halves, which are
// tried at once, and for one that is condemned.
func (l *lane) keepLocked(b *batch, v *verdict) time.Duration {
	if !b.keepOpen() {
		return 0
	}
	if refused := v.class == flushers.ClassPermanent || v.class == flushers.ClassTooLarge; refused {
		l.answeredLocked()
		l.tellTwinLocked(b, false)
		b.doubt = doubt{}
	} else {
		news := true
		if !l.entry.strict.Load() {
			var reason string
			if reason, news = l.doubtLocked(b, v); reason != "" {
				l.condemnLocked(b, reason, v)
				return 0
			}
		}
		if l.gaveUpLocked(b, v.text, l.excusesLocked(v, news)) {
			return -l.park.probeAt.Age(time.Now())
		}
		if news {
			b.feeler = b.feeler && l.hasWholeLocked() // else it is what others are tried beside
			l.failing, l.probe = true, l.probe || !b.feeler
		}
	}
	b.failed = l.taken
	wait, state := time.Duration(-1), backingOff
	switch v.class {
	case flushers.ClassPermanent, flushers.ClassTooLarge:
		l.failing = false
		if len(b.parts) > 1 {
			l.repeatedLocked(b)
			l.retryLocked(b.splitAt(len(b.parts)/2), 0)
		}
		l.retryLocked(b, 0)
		return 0
	case flushers.ClassMisconfigured:
		wait, state, l.probe = misconfiguredRetry, misconfigured, false
	case flushers.ClassRetryAfter:
		wait, l.probe = v.after, false
		l.notBefore = clock.At(time.Now().Add(wait))
	}
	wait = l.retryLocked(b, wait)
	l.setLocked(state, v.text, time.Now())
	l.lastError = l.why
	return wait
}

// partly ends the groups of a batch that are durable, dead-letters what never can
// be, and keeps the rest.
func (l *lane) partly(b *batch, v *verdict) {
	var good []*part
	var bad []doomed
	var rest *verdict
	keep := newBatch(l)
	keep.attempt, keep.backoff, keep.doubt, keep.feeler = b.attempt, b.backoff, b.doubt, b.feeler
	for i, p := range b.parts {
		why := v.failed[i]
		switch {
		case why == nil || mutant.On(mutant.SwallowPartial):
			good = append(good, p)
		case why.class == flushers.ClassPermanent:
			bad = append(bad, doomed{p: p, reason: ReasonPermanent, err: why, attempts: b.attempt})
		case why.class == flushers.ClassTooLarge:
			bad = append(bad, doomed{p: p, reason: ReasonTooLarge, err: why, attempts: b.attempt})
		default:
			keep.add(p)
			rest = rest.graver(why)
		}
	}
	l.mu.Lock()
	l.landLocked(b)
	good = l.endAllLocked(good)
	for _, d := range bad {
		l.doomLocked(d.p)
	}
	if len(keep.parts) == 0 {
		l.answeredLocked()
	}
	l.tellTwinLocked(keep, len(keep.parts)+len(bad) == 0)
	if len(good) > 0 {
		l.tookLocked()
	}
	if b.attempt == 1 && len(good) > 0 {
		l.firstLocked(len(good), len(keep.parts))
	}
	l.keepLocked(keep, rest)
	sentenced := len(l.condemned) > 0
	l.mu.Unlock()
	if sentenced {
		l.sentenced()
	}

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
func (l *lane) doomBatch(b *batch, reason string, v *verdict) {
	b.dropHolds()
	d := doomed{p: b.parts[0], reason: reason, err: v, attempts: b.attempt}
	l.mu.Lock()
	l.landLocked(b)
	l.answeredLocked()
	l.doomLocked(d.p)
	l.mu.Unlock()
	b.recycle()
	l.w.letters.add([]doomed{d})
}

// late settles what an abandoned Flush brought after all: a nil ends those of its
// parts that are still open.
func (l *lane) late(c *call, v *verdict) {
	b := c.batch
	b.dropHolds()
	l.w.late.Add(1)
	if v == nil {
		l.mu.Lock()
		ended := l.endAllLocked(b.parts)
		l.mu.Unlock()
		for _, p := range ended {
			p.m.partEnded(1)
		}
	}
	l.giveWork(b)
	l.returned(c)
}

// dropHolds gives up what a call held; the parts go on holding their messages.
func (b *batch) dropHolds() {
	for _, p := range b.parts {
		p.m.drop(1)
	}
}
