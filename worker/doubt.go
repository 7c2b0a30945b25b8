package worker

import "github.com/flushline/flushline/internal/mutant"

// How often a batch fails while its lane delivers others, until something is done.
const (
	strikesToHalve = 3 // at least; behind its first failure, each with a success of the lane since the one before
	straysToHalve  = 3 // the same with successes of other lanes, of a batch that is all its lane has
	hangsToSplit   = 2
)

// witness is what a lane knows of its destination when a batch fails.
type witness struct {
	own, others uint64 // successes of the lane, and of the other lanes of its flusher entry
	quiet       bool   // the lane has nothing but this batch
	strikes     int    // that it takes, see reliability
}

// doubt is what a lane thinks of a batch that fails: is it the destination, or the data?
// Only a success of the same lane between two failures tells. It knows no clock and
// starts nothing: who holds the lane's lock tells it what happened.
//
// What another lane delivered says nothing about this lane's table or
// index: it may cut a batch in two, once, and dooms nothing.
type doubt struct {
	failures  int    // plain ones in a row
	strikes   int    // of them, with a success of the lane since the one before
	seen      uint64 // successes of the lane when it last failed
	strays    int    // failures with successes of other lanes alone, since the last success of this one
	elsewhere uint64 // successes of other lanes when it last failed

	bad   bool // a group of it is poison: it is halved as soon as the lane has succeeded since it failed
	lone  bool // it may be cut in two on the word of other lanes
	piece bool // it comes of a batch that was cut
	alone int  // times that a piece of one group failed by itself, each but the first with a success of the lane since the one before
	rare  bool // a piece of a batch that was all its lane had

	counted int64 // 1: its first failure counts against the destination, see reliability

	hangs int    // calls that were abandoned, each but the first with a success of the lane since the one before
	hung  uint64 // successes of the lane when the last one was

	serial, behind uint64 // of two halves: the first one's number; the second waits for it
}

// later says that the lane has succeeded since.
func later(own, seen uint64) bool { return own > seen || mutant.On(mutant.HalveBlind) }

// failed notes a plain failure, or a panic. True: it can only be the data, which is one
// group.
func (d *doubt) failed(groups int, w witness) (poison bool) {
	again := d.failures > 0
	since := again && later(w.own, d.seen)
	stray := again && !since && w.quiet && w.others > d.elsewhere
	d.failures++
	d.seen, d.elsewhere = w.own, w.others
	switch {
	case since:
		d.strays, d.lone = 0, false
	case stray:
		d.strays++
		d.lone = d.strays >= straysToHalve && !d.piece && groups > 1
	}
	switch {
	case d.piece && groups == 1:
		if d.alone == 0 || since {
			d.alone++
		}
		d.bad, poison = true, since && d.alone >= w.strikes-1
	case d.piece:
		d.bad = true
	case since:
		if d.strikes++; d.strikes >= w.strikes {
			d.bad, poison = true, groups == 1
		}
	}
	return poison
}

// suspect says that it has failed while its lane delivered others.
func (d *doubt) suspect() bool { return d.strikes > 0 || d.bad || d.piece || d.hangs >= hangsToSplit }

// otherwise notes a failure that says nothing about the data: a timeout, a destination
// that asks for patience or is misconfigured. What it was suspected of has to be shown
// again.
func (d *doubt) otherwise(w witness) {
	d.failures, d.strikes, d.strays, d.alone = 0, 0, 0, 0
	d.lone = false
	d.bad = d.bad && d.piece
	d.seen, d.elsewhere = w.own, w.others
}

// abandoned notes a call that did not return. True: this one group hangs whatever calls
// it, and others do not.
func (d *doubt) abandoned(groups int, own uint64) (hangs bool) {
	since := d.hangs > 0 && later(own, d.hung)
	if d.hangs == 0 || since {
		d.hangs++
	}
	d.hung = own
	return groups == 1 && since && d.hangs > hangsToSplit
}

// mayHalve says that the batch can be cut now: the destination takes this lane's data.
func (d *doubt) mayHalve(groups int, own, others uint64) bool {
	return groups > 1 && (d.bad && later(own, d.seen) || d.lone && others > d.elsewhere)
}

// maySplit says that its groups are to be sent one by one.
func (d *doubt) maySplit(groups int, own uint64) bool {
	return groups > 1 && d.hangs >= hangsToSplit && later(own, d.hung)
}

// single is what is thought of each group of a batch that hung.
func (d *doubt) single() doubt {
	return doubt{counted: d.counted, failures: min(d.failures, 1), seen: d.seen, elsewhere: d.elsewhere, piece: true, hangs: d.hangs, hung: d.hung}
}

// halve is what is thought of the two halves. The second waits for the first: if that is
// taken, the second need not be tried to know that it is bad.
func (d *doubt) halve(serial uint64) (first, second doubt) {
	first = doubt{
		counted: d.counted, failures: 1, seen: d.seen, elsewhere: d.elsewhere, piece: true, rare: d.rare || d.lone,
		hangs: d.hangs, hung: d.hung,
	}
	second = first
	first.serial, second.behind = serial, serial
	return first, second
}

// accuse is told to the second half when the first was taken. Of a batch that was all its
// lane had nothing may come that shows the destination's health again: there the success
// of the first half has to do.
func (d *doubt) accuse() {
	d.behind, d.bad = 0, true
	if d.rare {
		d.alone = 1
	}
}
