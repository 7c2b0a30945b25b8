package worker_test

import (
	"fmt"
	"slices"
	"time"
)

// retryFeelers is how many batches of one group are tried beside one that fails.
const retryFeelers = 4

// owed is a batch that failed and has to come again.
type owed struct {
	ids         []string
	tries       int
	backs       int // how often it backed off
	from, until time.Time
	feeler      bool  // it was tried beside one that failed: it comes again when that does
	after       int   // successes of the lane when it failed
	behind      *owed // a second half waits for what becomes of the first

	suspicion
}

// halves are two batches of what was refused. The first goes on to back off where the
// whole was; the second begins anew.
func (o *owed) halves() (first, second *owed) {
	n := len(o.ids) / 2
	second = &owed{ids: o.ids[n:], tries: o.tries, after: o.after}
	o.ids, o.suspicion = o.ids[:n], suspicion{}
	return o, second
}

// cut are the two halves of one that holds poison: the first is tried at once, and the
// second as soon as the first is through.
func (o *owed) cut() (first, second *owed) {
	n := len(o.ids) / 2
	first = &owed{ids: o.ids[:n], tries: o.tries, after: o.after, suspicion: o.piece()}
	second = &owed{ids: o.ids[n:], tries: o.tries, after: o.after, suspicion: o.piece(), behind: first}
	return first, second
}

// debtor is one lane and its model.
type debtor struct {
	does  int
	after time.Duration // of answerLater
	quiet time.Time     // until then it may not be tried
	owes  []*owed
	calls []*owed           // on their way
	fresh int               // groups that were never tried
	moved time.Time         // when it last got something to do, or did something
	ended map[string]string // how: the reason of its letter; empty: flushed

	taken   int  // calls that stored something
	failing bool // a call failed for what may be the destination's fault, and none was answered since
	probe   bool // one group may be tried beside the batch that failed
	blamed  bool // a failure since the last success is counted in firsts
	firsts  firsts
}

// backoffOf is the middle of the wait behind so many others; chance makes it a half to
// three halves of that.
func backoffOf(before int) time.Duration {
	d := retryFirst
	for range before {
		d = min(d*3/2, retryMost)
	}
	return d
}

func (l *debtor) owe(o *owed, from, until time.Time) {
	o.after, o.from, o.until = l.taken, from, until
	l.owes = append(l.owes, o)
}

// backOff owes it for a try after its own backoff.
func (l *debtor) backOff(o *owed) {
	now, wait := time.Now(), backoffOf(o.backs)
	o.backs++
	l.owe(o, now.Add(wait/2), now.Add(wait*3/2))
}

// fails notes a failure that may be the destination's fault. Whatever fails while nothing
// but feelers is left is what others are tried beside.
func (l *debtor) fails(o *owed) {
	o.feeler = o.feeler && l.hasWhole()
	l.failing, l.probe = true, l.probe || !o.feeler
}

// through tells the second half what became of the first: it is due.
func (l *debtor) through(first *owed, taken bool) {
	for _, o := range l.owes {
		if o.behind != first {
			continue
		}
		o.behind, o.from, o.until = nil, time.Now(), time.Now()
		if taken {
			o.accuse()
		}
	}
}

// mayCut says that a batch comes as its first half, and needs no time to pass for that.
func (l *debtor) mayCut(o *owed, others int) bool {
	return len(o.ids) > 1 && (o.bad && l.taken > o.after || o.lone && others > o.elsewhere)
}

func (l *debtor) hasWhole() bool {
	return slices.ContainsFunc(l.owes, func(o *owed) bool { return !o.feeler })
}

// mayForm says whether groups that were never tried may be now.
func (l *debtor) mayForm() bool {
	felt := 0
	for _, o := range l.owes {
		if o.feeler && o.after == l.taken {
			felt++
		}
	}
	return !l.failing || len(l.owes) == 0 || l.probe && felt < retryFeelers
}

// heldBack says that a batch may not be tried even if its time has come: the second half
// of one that was cut waits for the first. Of the feelers, while nothing came through
// since they failed, one is tried for each failure of the others, behind what was never
// tried.
func (l *debtor) heldBack(o *owed) bool {
	if o.behind != nil {
		return true
	}
	if !o.feeler || !l.failing || o.after != l.taken || !l.hasWhole() {
		return false
	}
	return !l.probe || l.fresh > 0 && l.mayForm()
}

// late says what should have come by now.
func (l *debtor) late(now time.Time) string {
	if len(l.calls) > 0 || now.Sub(l.quiet) <= lag {
		return "" // it is about to go on
	}
	for _, o := range l.owes {
		if by := now.Sub(o.until); by > lag && !l.heldBack(o) {
			return fmt.Sprintf("%v is %v late", o.ids, by)
		}
	}
	if idle := now.Sub(l.moved); l.fresh > 0 && l.mayForm() && idle > lag {
		return fmt.Sprintf("%d groups were never tried, of %d batches that failed none keeps them, and nothing was done for %v", l.fresh, len(l.owes), idle)
	}
	return ""
}
