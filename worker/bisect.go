package worker

import (
	"slices"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/mutant"
)

// feelers is how many batches of one group a failing lane has tried, beside the one that
// failed, until it tries no more: were they all poison, nothing would show it.
const feelers = 4

// biteUnit is also how many successes double what a batch may hold again.
const biteUnit = 32

// biteLocked lets batches be smaller while poison comes: of a hundred groups one is bad
// nearly always, and all of them would wait until that is shown. One that is suspected
// halves them, each success lets them grow by a little.
func (l *lane) biteLocked(suspected *batch) {
	switch {
	case suspected != nil:
		l.bite = max(biteUnit, int32(min(len(suspected.parts), batchGroups))*biteUnit/2)
	case l.bite == 0:
	default:
		if l.bite += l.bite / biteUnit; l.bite > batchGroups*biteUnit {
			l.bite = 0
		}
	}
}

// tookLocked notes that the destination took something of the lane's.
func (l *lane) tookLocked() {
	l.taken++
	l.misses, l.blamed = 0, false
	l.biteLocked(nil)
	l.entry.taken.Add(1)
}

// othersLocked is how many Flush calls of the other lanes of the entry succeeded.
func (l *lane) othersLocked() uint64 { return l.entry.taken.Load() - l.taken }

// witnessLocked is what the lane knows of its destination. Nothing but what is in hand
// is all it has.
func (l *lane) witnessLocked(d *doubt) witness {
	return witness{
		own: l.taken, others: l.othersLocked(),
		quiet:   l.emptyLocked() && len(l.retry) == 0 && len(l.flights) == 0,
		strikes: max(l.firsts.strikes(d.counted), l.entry.firsts.strikes(d.counted)),
	}
}

// firstLocked notes how the first try of groups went that stood for themselves.
func (l *lane) firstLocked(good, bad int) {
	l.firsts.note(good, bad)
	l.entry.firsts.note(good, bad)
}

// firstFailedLocked counts the failure of one group that was never tried before, one for
// each success of the lane: more than that is an outage.
func (l *lane) firstFailedLocked(b *batch, v *verdict) {
	if b.attempt == 1 && len(b.parts) == 1 && b.doubt.failures == 0 && !l.blamed && isPlain(v.class) {
		b.doubt.counted, l.blamed = 1, true
		l.firstLocked(0, 1)
	}
}

// risky is how many calls of a lane hang until what hung before is tried again only behind
// a success: those that are left may all be needed to show that it is to blame, and the
// lane goes on only below its limit.
const risky = laneAbandoned - hangsToSplit - 1

// risksLocked says that a try might hang like the last one, without telling anything.
func (l *lane) risksLocked(d *doubt) bool {
	return d.hangs > 0 && l.abandoned >= risky && l.taken <= d.hung
}

// heldBackLocked says that a batch in retry is not tried by its own backoff: a second
// half waits for the first, and of the feelers that failed one is tried for each try of
// the batch that failed before them, in turn, when no new one may be.
func (l *lane) heldBackLocked(b *batch) bool {
	if l.waitsLocked(b) || l.risksLocked(&b.doubt) && !l.emptyLocked() && l.mayFormLocked() {
		return true
	}
	if !b.feeler || !l.failing || b.failed != l.taken || l.entry.strict.Load() || !l.hasWholeLocked() {
		return false
	}
	return !l.probe || !l.emptyLocked() && l.mayFormLocked()
}

// isPlain says that a failure may be that of the data: the flusher said nothing else.
func isPlain(c flushers.Class) bool {
	return c == flushers.ClassRetry || c == flushers.ClassPanic || c == flushers.ClassTimeout && mutant.On(mutant.DoomTimeout)
}

// doubtLocked notes a failure of a batch that is not in the lane's lists. It returns the
// reason class if it can never be flushed. news says that the failure may be that of the
// destination: the batch did not fail before while others came through.
func (l *lane) doubtLocked(b *batch, v *verdict) (reason string, news bool) {
	l.firstFailedLocked(b, v)
	d, w := &b.doubt, l.witnessLocked(&b.doubt)
	l.tellTwinLocked(b, false)
	b.why = v.text
	switch {
	case v.hung:
		if d.hangs == 0 {
			l.entry.hung.Add(1)
		}
		hangs := d.abandoned(len(b.parts), l.taken)
		d.otherwise(w)
		if hangs && l.entry.seldomHangs() {
			return ReasonHangs, false
		}
		return "", !d.suspect()
	case !isPlain(v.class):
		d.otherwise(w)
		return "", true
	}
	known := d.failures > 0 && l.taken > d.seen
	if d.failed(len(b.parts), w) {
		l.firstLocked(0, -int(d.counted))
		return ReasonPoison, false
	}
	if known && d.suspect() {
		if d.strikes == 1 && !d.piece {
			l.biteLocked(b)
		}
		b.backoff = nil // others come through: it is not the destination that has to be spared
		return "", false
	}
	l.misses++
	return "", true
}

// condemnLocked makes a dead letter of a batch of one group that is poison. Whoever holds
// the lock hands on what is condemned when it is free.
func (l *lane) condemnLocked(b *batch, reason string, v *verdict) {
	l.condemned = append(l.condemned, doomed{p: b.parts[0], reason: reason, err: v, attempts: b.attempt})
	l.doomLocked(b.parts[0])
	b.recycle()
}

// sentenced hands what is condemned to the dead letters.
func (l *lane) sentenced() {
	l.mu.Lock()
	ds := l.condemned
	l.condemned = nil
	l.mu.Unlock()
	l.w.letters.add(ds)
}

// waitsLocked says that a second half has to wait for what becomes of the first.
func (l *lane) waitsLocked(b *batch) bool {
	if b.doubt.behind == 0 {
		return false
	}
	first := func(o *batch) bool { return o.doubt.serial == b.doubt.behind }
	return slices.ContainsFunc(l.flights, first) || slices.ContainsFunc(l.retry, first)
}

// tellTwinLocked has the second half of a batch know what became of the first.
func (l *lane) tellTwinLocked(b *batch, taken bool) {
	serial := b.doubt.serial
	if serial == 0 {
		return
	}
	b.doubt.serial = 0
	for _, o := range l.retry {
		if o.doubt.behind == serial {
			o.doubt.behind = 0
			if taken {
				o.doubt.accuse()
			}
		}
	}
}

// cutsLocked says that a batch may be cut now, whenever its next try is.
func (l *lane) cutsLocked(b *batch) bool {
	if l.entry.strict.Load() || !b.doubt.suspect() && !b.doubt.lone {
		return false
	}
	return b.doubt.mayHalve(len(b.parts), l.taken, l.othersLocked()) || b.doubt.maySplit(len(b.parts), l.taken)
}

// cutLocked cuts a batch that was taken out of retry at i, and returns what of it is
// tried first.
func (l *lane) cutLocked(b *batch, i int, now time.Time) *batch {
	l.repeatedLocked(b)
	if b.doubt.maySplit(len(b.parts), l.taken) {
		single := b.doubt.single()
		for len(b.parts) > 1 {
			rest := b.splitAt(len(b.parts) - 1)
			rest.doubt, rest.nextTry = single, now
			l.retry = slices.Insert(l.retry, i, rest)
		}
		b.doubt, b.backoff = single, nil
		return b
	}
	l.serials++
	second := b.splitAt(len(b.parts) / 2)
	b.doubt, second.doubt = b.doubt.halve(uint64(l.serials))
	b.backoff, second.nextTry = nil, now
	if !mutant.On(mutant.LoseHalf) {
		l.retry = slices.Insert(l.retry, i, second)
	}
	return b
}

// repeatedLocked counts groups that go to the destination in another batch than before,
// of kinds of which a failed call may have stored some.
func (l *lane) repeatedLocked(b *batch) {
	if !l.version.Kind.Atomic {
		l.entry.repeated.Add(int64(len(b.parts)))
	}
}

// hasWholeLocked says that a batch waits that is more than a feeler.
func (l *lane) hasWholeLocked() bool {
	return slices.ContainsFunc(l.retry, func(b *batch) bool { return !b.feeler })
}
