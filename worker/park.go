package worker

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// ReleasedDeferred is the reason of records that stay parked because their lane did not
// take them.
const ReleasedDeferred = "deferred"

// So much is parked at a time: a destination at half of a queue's speed parks tens of
// thousands a second, and each put waits for the broker.
const (
	partsPerPark = 1024
	bytesPerPark = 8 << 20
	parkingPuts  = 4 // under way side by side
)

// newParker is where parts go that a lane does not take: live ones are parked, and what
// was parked is deferred.
func newParker(w *Worker, parked queue.Parked) *outbox {
	o := newOutbox(w, parked, "parked queue")
	o.most, o.bytes = partsPerPark, bytesPerPark
	o.needs = func(d *doomed) bool { return d.again || !d.p.m.strand.info.Parked }
	o.loses = func() bool { return mutant.On(mutant.ParkUnstored) }
	o.crash = func() { failpoint.Hit(failpoint.ParkPut) }
	o.compose = w.parkedRecord
	o.bury = buryParked
	return o
}

func buryParked(ds []doomed) {
	buryAll(ds, func(d *doomed) (outcome, string) {
		if d.p.m.strand.info.Parked && !d.again {
			d.p.m.deferred.Store(true)
			return released, ReleasedDeferred
		}
		return parked, ""
	})
}

// parkedRecord is a part as it is parked. One that is put behind the others has moved
// once more.
func (w *Worker) parkedRecord(d *doomed, to *addressee) queue.Message {
	m := w.record(d.p, to)
	if !d.again {
		return m
	}
	moves := 0
	for i, h := range m.Headers {
		if strings.EqualFold(h.Key, queue.HeaderMoves) {
			moves, _ = strconv.Atoi(h.Value) // what is no number begins anew
			m.Headers = slices.Delete(m.Headers, i, i+1)
			break
		}
	}
	m.Headers = append(m.Headers, queue.Header{Key: queue.HeaderMoves, Value: strconv.Itoa(moves + 1)})
	return m
}

// add takes parts that their lane lists as dying.
func (o *outbox) add(ds []doomed) {
	if len(ds) == 0 {
		return
	}
	o.mu.Lock()
	o.pending = append(o.pending, ds...)
	o.mu.Unlock()
	poke(o.wake)
}

// turnAwayLocked parks parts that the lane does not take, linked by next.
func (l *lane) turnAwayLocked(first *part) { l.awayLocked(first, false) }

// awayLocked is turnAwayLocked; again says that parked records are put behind the others.
func (l *lane) awayLocked(first *part, again bool) {
	var ds []doomed
	for p := first; p != nil; {
		next := p.next
		p.next = nil
		if p.open() {
			ds = append(ds, doomed{p: p, again: again})
			l.shelveLocked(p)
		}
		p = next
	}
	l.w.parker.add(ds)
}

// shelveLocked lists an open part as one that is on its way to be parked.
func (l *lane) shelveLocked(p *part) {
	l.doomLocked(p)
	p.turned = true
	if !p.m.strand.info.Parked {
		p.m.strand.turn(p.turnCost())
	}
}

// admitLocked says whether a lane of a route that parks takes what comes.
func (l *lane) admitLocked(s *strand, first *part, n int, bytes int64) bool {
	now := first.m.received
	switch {
	case s.info.Parked && l.refusesLocked(first):
		return false
	case l.park.phase == blocked:
		return !l.w.urgent.Load() && !(s.info.Parked && l.park.yields(now)) && l.emptyLocked() && len(l.retry) == 0 && len(l.flights) == 0 && l.park.taste(now)
	case s.info.Parked || l.park.cap == 0:
		return true
	}
	return !l.overCapLocked(n, bytes)
}

// parkAllLocked parks what the lane holds, oldest first, except what is inside a call:
// that follows when the call fails. A batch in hand goes first.
func (l *lane) parkAllLocked(inHand *batch) {
	take := func(b *batch) {
		again := l.blocksWayLocked(b)
		if b.served() && b.doubt.failures >= strikesToHalve {
			l.park.aside = yielding
		}
		l.rememberLocked(b)
		for _, p := range b.parts {
			l.awayLocked(p, again)
		}
	}
	for i := 0; i < len(l.retry) && !mutant.On(mutant.BlockForgets); i++ {
		take(l.retry[i])
	}
	if inHand != nil {
		take(inHand)
	}
	l.retry = nil
	for _, q := range [2]*fifo{&l.live, &l.served} {
		first := q.head
		*q = fifo{}
		l.turnAwayLocked(first)
	}
	l.failing, l.probe, l.notBefore = false, false, 0
	l.askAgain.Store(0)
}

// gaveUpLocked notes a failure of a lane of a route that parks. True: it is blocked,
// and everything was parked, the batch in hand included. excused says that the failure
// may be that of the data.
func (l *lane) gaveUpLocked(b *batch, why string, excused bool) bool {
	if l.w.parker == nil {
		return false
	}
	if excused && l.park.excuse() {
		return false
	}
	after, now := time.Duration(l.entry.parkAfter.Load()), time.Now()
	if after == 0 {
		l.park.off()
	}
	if !l.park.failed(now) {
		if after == 0 || b == nil || now.Sub(b.oldest()) < after || l.park.succeeded.Age(now) < after {
			return false
		}
		l.park.block(now)
	}
	l.lastError = why
	l.parkAllLocked(b)
	return true
}

// excusesLocked says that a failure is no reason to block a lane that recovers: the batch
// is a suspect, or it is the first to fail since the lane succeeded, and the next try
// tells whether it was the data or the destination.
func (l *lane) excusesLocked(v *verdict, news bool) bool {
	return isPlain(v.class) && (!news || l.misses == 1)
}

// answeredLocked notes that the destination took something, or refused it for what it
// is: it is there.
func (l *lane) answeredLocked() {
	if l.w.parker != nil && l.park.delivered(time.Now()) {
		l.w.cfg.Parked.Look(l.id())
	}
}

// inCallFor is how long the running call has lasted.
func (l *lane) inCallFor(now time.Time) time.Duration {
	switch {
	case isRunning(l.call.state.Load()):
		return time.Duration(clock.Of(now) - l.call.started.Load())
	case len(l.flights) > 0:
		return now.Sub(l.looked)
	}
	return 0
}

// troubledLocked says that the lane's destination takes nothing: it was not ready or
// failed, or a call lasts as long as a lane has until it parks.
func (l *lane) troubledLocked(now time.Time, after time.Duration) bool {
	if l.park.succeeded.Age(now) < after {
		return false // one batch of many that it refuses is not all
	}
	switch l.state {
	case unready, backingOff, misconfigured, wedged:
		return true
	case starting, flushing:
		return l.inCallFor(now) >= after
	}
	return false
}

// oldestLocked is the part that came first of those that are not inside a call.
func (l *lane) oldestLocked() (first *part) {
	see := func(p *part) {
		if first == nil || p.m.received.Before(first.m.received) {
			first = p
		}
	}
	for _, q := range [2]*fifo{&l.live, &l.served} {
		if q.head != nil {
			see(q.head)
		}
	}
	for _, b := range l.retry {
		if len(b.parts) > 0 {
			see(b.parts[0])
		}
	}
	return first
}

// look blocks a lane whose oldest part has waited for too long behind a destination
// that takes nothing, or whose try does not end; a worker does so each second.
func (l *lane) look(now time.Time, crowded map[*strand]*holdup) {
	after := time.Duration(l.entry.parkAfter.Load())
	if after == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return
	}
	l.uncapLocked(now)
	switch first := l.oldestLocked(); {
	case l.park.phase == blocked:
		if l.park.tasting.IsZero() || l.park.tasting.Age(now) < after {
			return
		}
	case first == nil:
		return
	default:
		if crowded[first.m.strand] != nil && !mutant.On(mutant.CrowdWaits) {
			after = min(after, crowdedAfter)
		}
		if now.Sub(first.m.received) < after || !l.troubledLocked(now, after) {
			return
		}
	}
	if l.why != "" {
		l.lastError = l.why
	} else if isRunning(l.call.state.Load()) {
		l.lastError = l.call.which().String() + " does not return"
	}
	l.park.block(now)
	l.parkAllLocked(nil)
}
