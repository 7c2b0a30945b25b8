package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
)

// What a Flush answers.
const (
	answerOK = iota
	answerDown
	answerLater // RetryAfter
	answerMisconfigured
	answerTooLarge // more than two groups
	answerPartial
	answerPanics
	answerKinds
)

const (
	retryLanes   = 2
	retryFirst   = 200 * time.Millisecond
	retryMost    = 5 * time.Second
	retryFeelers = 4 // batches of one group that are tried beside one that fails
	poisonous    = 7 // every seventh group can never be flushed
)

// owed is a batch that failed and has to come again.
type owed struct {
	ids         []string
	tries       int
	backs       backs
	from, until time.Time
	feeler      bool // it was formed while another failed: it comes again when that does
	after       int  // successes of the lane when it failed
	whole       bool // it was formed while nothing had failed since the last success
}

// backs is how often a batch backed off already, at least and at most: DESIGN does not
// say whether a half begins anew.
type backs struct{ least, most int }

// debtor is one lane and its model.
type debtor struct {
	does  int
	after time.Duration // of answerLater
	told  time.Time     // when the destination named a time
	quiet time.Time     // until then it may not be tried
	owes  []*owed
	taken int       // calls that stored something
	fresh int       // groups that were never tried
	moved time.Time // when it last got something to do, or did something
	ended map[string]bool
	split bool
}

type debts struct {
	mu    sync.Mutex
	lanes [retryLanes]debtor
	coins uint64 // what is partial
	alone bool   // calls come one at a time
	wrong []string
}

func (d *debts) blame(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
}

func isPoison(id string) bool {
	n, err := strconv.Atoi(id)
	return err != nil || n%poisonous == poisonous-1
}

// flush is Flush: it compares the batch with what is owed, and answers.
func (d *debts) flush(_ context.Context, c *checker.Call) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.lanes[laneOf(c.Key)]
	var ids []string
	for _, g := range c.Groups {
		ids = append(ids, idOf(g))
	}
	o := d.settle(l, ids, c.Attempt)
	err := d.answer(l, ids)
	d.owe(l, o, err)
	if l.does == answerPanics && err == nil {
		d.again(l, ids, o)
		panic("the destination is broken")
	}
	if err == nil {
		d.stored(l, ids)
	}
	return err
}

// settle takes a batch off what is owed, and counts this try.
func (d *debts) settle(l *debtor, ids []string, attempt int) *owed {
	now, came := time.Now(), &owed{ids: ids}
	l.moved = now
	beside := !d.alone && now.Equal(l.told) // it was on its way
	if now.Before(l.quiet) && !beside {
		d.blame("%v was tried %v before the time that the destination had named", ids, l.quiet.Sub(now))
	}
	for i, o := range l.owes {
		if !slices.Contains(o.ids, ids[0]) {
			continue
		}
		if !slices.Equal(o.ids, ids) {
			o = d.cut(l, o, ids)
		}
		if now.Before(o.from) {
			d.blame("%v came again %v early", ids, o.from.Sub(now))
		}
		came = o
		l.owes = slices.Delete(l.owes, i, i+1)
		break
	}
	if came.tries == 0 {
		came.feeler = len(l.owes) > 0
		came.whole = !slices.ContainsFunc(l.owes, func(o *owed) bool { return o.after == l.taken })
		l.fresh -= len(ids)
	}
	if came.tries++; attempt != came.tries {
		d.blame("try %d of %v says that it is number %d", came.tries, ids, attempt)
	}
	for _, id := range ids {
		if l.ended[id] || slices.ContainsFunc(l.owes, func(o *owed) bool { return slices.Contains(o.ids, id) }) {
			d.blame("%s came in %v and has ended or is owed with others", id, ids)
		}
	}
	return came
}

// cut takes one of two pieces off a batch that is suspected of poison, which it may be
// once it has failed three times behind its first failure. When the other one comes is the
// search's own business (TestDoubts).
func (d *debts) cut(l *debtor, o *owed, ids []string) *owed {
	const suspected = 4
	half := len(ids) < len(o.ids) && (slices.Equal(o.ids[:len(ids)], ids) || slices.Equal(o.ids[len(o.ids)-len(ids):], ids))
	if !half || o.tries < suspected {
		d.blame("%v came again as %v", o.ids, ids)
		return o
	}
	l.split = true
	rest := slices.DeleteFunc(slices.Clone(o.ids), func(id string) bool { return slices.Contains(ids, id) })
	now := time.Now()
	piece := func(ids []string) *owed {
		return &owed{ids, o.tries, backs{0, o.backs.most}, now, now.Add(time.Hour), o.feeler, o.after, o.whole}
	}
	l.owes = append(l.owes, piece(rest))
	return piece(ids)
}

// answer is what the destination says to a batch.
func (d *debts) answer(l *debtor, ids []string) error {
	poison := slices.ContainsFunc(ids, isPoison)
	switch {
	case l.does == answerDown:
		return errDown
	case l.does == answerLater:
		return flushers.RetryAfter(errDown, l.after)
	case l.does == answerMisconfigured:
		return flushers.Misconfigured(errDown)
	case l.does == answerTooLarge && len(ids) > 2:
		return flushers.TooLarge(errDown)
	case l.does == answerPartial:
		failed := map[int]error{}
		for i, id := range ids {
			d.coins = d.coins*6364136223846793005 + 1442695040888963407
			switch {
			case isPoison(id):
				failed[i] = flushers.Permanent(errDown)
			case d.coins>>40%2 == 0:
				failed[i] = errDown
			}
		}
		if len(failed) > 0 {
			return &flushers.PartialError{Failed: failed}
		}
	case poison:
		return flushers.Permanent(errDown)
	}
	return nil
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

// feels says that a batch waits for the tries of another one.
func (l *debtor) feels(o *owed) bool {
	return o.feeler && slices.ContainsFunc(l.owes, func(o *owed) bool { return !o.feeler })
}

// again owes what is left of a batch for another try after its own backoff.
func (d *debts) again(l *debtor, rest []string, o *owed) {
	now, b := time.Now(), o.backs
	if l.taken > o.after { // others came through: it begins anew
		b.least = 0
	}
	from, until := now.Add(backoffOf(b.least)/2), now.Add(backoffOf(b.most)*3/2)
	l.owes = append(l.owes, &owed{rest, o.tries, backs{b.least + 1, b.most + 1}, from, until, l.feels(o), l.taken, o.whole})
}

// owe notes what an answer makes of the batch.
func (d *debts) owe(l *debtor, o *owed, err error) {
	now := time.Now()
	at := func(ids []string, b backs, due time.Time) {
		l.owes = append(l.owes, &owed{ids, o.tries, b, due, due, l.feels(o), l.taken, o.whole})
	}
	switch class, _ := flushers.Classify(err); {
	case err == nil:
	case class == flushers.ClassPartial:
		d.owePart(l, o, err)
	case class == flushers.ClassRetryAfter:
		l.told, l.quiet = now, now.Add(l.after)
		at(o.ids, o.backs, l.quiet)
	case class == flushers.ClassMisconfigured:
		at(o.ids, o.backs, now.Add(30*time.Second))
	case class == flushers.ClassPermanent || class == flushers.ClassTooLarge:
		l.split = true
		if half := len(o.ids) / 2; half > 0 {
			b := backs{0, o.backs.most}
			at(o.ids[:half], b, now)
			at(o.ids[half:], b, now)
		} else {
			l.ended[o.ids[0]] = true
		}
	default:
		d.again(l, o.ids, o)
	}
}

// owePart owes what failed and may succeed.
func (d *debts) owePart(l *debtor, o *owed, err error) {
	var partial *flushers.PartialError
	if !errors.As(err, &partial) {
		d.blame("%v is no partial result", err)
		return
	}
	var rest, good []string
	for i, id := range o.ids {
		switch why := partial.Failed[i]; {
		case why == nil:
			good = append(good, id)
		case isPoison(id):
			l.ended[id] = true
		default:
			rest = append(rest, id)
		}
	}
	d.stored(l, good)
	if len(rest) > 0 {
		d.again(l, rest, o)
	}
}

func (d *debts) stored(l *debtor, ids []string) {
	if len(ids) > 0 {
		l.taken++
	}
	for _, id := range ids {
		if isPoison(id) {
			d.blame("%s can never be flushed and was", id)
		}
		l.ended[id] = true
	}
}

// check says what is wrong: also a batch that does not come when its time is over.
func (d *debts) check(t *rapid.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.wrong) > 0 {
		t.Fatalf("%s", strings.Join(d.wrong, "\n"))
	}
	now := time.Now()
	for i := range d.lanes {
		l := &d.lanes[i]
		late := func(o *owed) time.Duration {
			until := o.until
			if until.Before(l.quiet) {
				until = l.quiet
			}
			return now.Sub(until)
		}
		awaited := slices.ContainsFunc(l.owes, func(o *owed) bool { return late(o) <= lag })
		failing := 0
		for _, o := range l.owes {
			if o.after == l.taken && !o.whole {
				failing++
			}
			if by := late(o); by > lag && (!o.feeler || !awaited) {
				t.Fatalf("%v of lane %d is %v late", o.ids, i, by)
			}
		}
		if idle := now.Sub(l.moved); l.fresh > 0 && len(l.owes) == 0 && idle > lag && now.Sub(l.quiet) > lag {
			t.Fatalf("lane %d has %d groups, owes nothing, and has done nothing for %v", i, l.fresh, idle)
		}
		if d.alone && !l.split && failing > retryFeelers {
			t.Fatalf("lane %d tries %d batches while the first of them fails", i, failing)
		}
	}
}

// expect has the lane get groups.
func (d *debts) expect(lane, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lanes[lane].fresh += n
	d.lanes[lane].moved = time.Now()
}

func (d *debts) set(lane, does int, after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lanes[lane].does, d.lanes[lane].after = does, after
}
