package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/worker"
)

const (
	retryLanes = 2
	retryFirst = 200 * time.Millisecond
	retryMost  = 5 * time.Second
)

// debts are the destination and the model of all lanes.
type debts struct {
	mu     sync.Mutex
	lanes  [retryLanes]debtor
	firsts firsts // of all lanes
	coins  uint64 // what is partial, and how long calls last
	wrong  []string
}

func (d *debts) blame(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
}

// flush is Flush: it compares the batch with what is owed, and answers after a while.
func (d *debts) flush(_ context.Context, c *checker.Call) error {
	l := &d.lanes[laneOf(c.Key)]
	var ids []string
	for _, g := range c.Groups {
		ids = append(ids, idOf(g))
	}
	o := d.begin(l, ids, c.Attempt)
	// No two calls of one moment end together, so that the order of what happens is that
	// of time, also in lanes whose calls overlap. It is too short for a slow call.
	time.Sleep(time.Duration(1 + d.coin(ids[0], c.Attempt)%50_000))
	err := d.end(l, o)
	if errors.Is(err, errPanics) {
		panic("the destination is broken")
	}
	return err
}

// begin takes a batch off what is owed, and counts this try.
func (d *debts) begin(l *debtor, ids []string, attempt int) *owed {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	l.moved = now
	if now.Before(l.quiet) {
		d.blame("%v was tried %v before the time that the destination had named", ids, l.quiet.Sub(now))
	}
	if l.failing && len(l.calls) > 0 {
		d.blame("%v was tried beside a call while the lane fails", ids)
	}
	var came *owed
	if i := slices.IndexFunc(l.owes, func(o *owed) bool { return slices.Contains(o.ids, ids[0]) }); i >= 0 {
		came = d.again(l, i, ids, now)
	} else {
		came = d.first(l, ids)
	}
	if came.tries++; attempt != came.tries {
		d.blame("try %d of %v says that it is number %d", came.tries, ids, attempt)
	}
	for _, id := range ids {
		other := func(o *owed) bool { return slices.Contains(o.ids, id) }
		if _, ended := l.ended[id]; ended || slices.ContainsFunc(l.owes, other) || slices.ContainsFunc(l.calls, other) {
			d.blame("%s came in %v and has ended or is owed with others", id, ids)
		}
	}
	l.calls = append(l.calls, came)
	return came
}

// first is a batch that was never tried: while others fail it is one group, and there are
// few such.
func (d *debts) first(l *debtor, ids []string) *owed {
	o := &owed{ids: ids, feeler: l.failing && len(l.owes) > 0}
	if o.feeler && (len(ids) > 1 || !l.mayForm()) {
		d.blame("%v was tried beside %d batches that fail", ids, len(l.owes))
	}
	l.fresh -= len(ids)
	l.probe = false
	return o
}

// again is a batch that failed, or the first half of one that holds poison.
func (d *debts) again(l *debtor, i int, ids []string, now time.Time) *owed {
	o := l.owes[i]
	if l.heldBack(o) {
		d.blame("%v was tried while it has to wait for another batch", ids)
	}
	if l.mayCut(o, d.others(l)) {
		o, l.owes[i] = o.cut()
	} else {
		if l.owes = slices.Delete(l.owes, i, i+1); now.Before(o.from) {
			d.blame("%v came again %v early", ids, o.from.Sub(now))
		}
		l.probe = l.probe && !o.feeler
	}
	if !slices.Equal(o.ids, ids) {
		d.blame("%v came, and %v was owed", ids, o.ids)
	}
	return o
}

// end answers, and notes what that makes of the batch.
func (d *debts) end(l *debtor, o *owed) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, err := time.Now(), d.answer(l, o)
	l.moved = now
	l.calls = slices.DeleteFunc(l.calls, func(other *owed) bool { return other == o })
	at := func(due time.Time) {
		d.otherwise(l, o)
		l.owe(o, due, due)
	}
	switch class, _ := flushers.Classify(err); {
	case err == nil:
		l.failing = false
		d.took(l, o.ids)
		l.through(o, true)
		if o.tries == 1 && len(o.ids) == 1 {
			d.count(l, 1, 0)
		}
	case class == flushers.ClassPartial:
		d.partly(l, o, err)
	case class == flushers.ClassRetryAfter:
		l.quiet = now.Add(l.after)
		at(l.quiet)
	case class == flushers.ClassMisconfigured:
		at(now.Add(30 * time.Second))
	case len(o.ids) == 1 && class == flushers.ClassPermanent:
		l.through(o, false)
		l.ended[o.ids[0]] = worker.ReasonPermanent
	case class == flushers.ClassPermanent || class == flushers.ClassTooLarge:
		l.failing = false
		l.through(o, false)
		first, second := o.halves()
		l.owe(second, now, now)
		l.owe(first, now, now)
	default:
		d.plain(l, o)
	}
	if l.fresh == 0 && len(l.owes) == 0 && len(l.calls) == 0 {
		l.failing = false
	}
	return err
}

// partly owes what failed and may succeed.
func (d *debts) partly(l *debtor, o *owed, err error) {
	var partial *flushers.PartialError
	if !errors.As(err, &partial) {
		d.blame("%v is no partial result", err)
		return
	}
	l.through(o, false)
	var rest, good []string
	for i, id := range o.ids {
		switch why := partial.Failed[i]; {
		case why == nil:
			good = append(good, id)
		case isPoison(id):
			l.ended[id] = worker.ReasonPermanent
		default:
			rest = append(rest, id)
		}
	}
	if len(good) > 0 {
		d.took(l, good)
		if o.tries == 1 {
			d.count(l, len(good), len(rest))
		}
	}
	if o.ids = rest; len(rest) > 0 {
		d.plain(l, o)
	}
}

// check says what is wrong: also a batch that does not come when its time is over.
func (d *debts) check(t *rapid.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.wrong) > 0 {
		t.Fatalf("%s", strings.Join(d.wrong, "\n"))
	}
	for i := range d.lanes {
		if late := d.lanes[i].late(time.Now()); late != "" {
			t.Fatalf("lane %d: %s", i, late)
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
