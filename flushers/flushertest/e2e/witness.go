package e2e

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// moment is where in the life of a Flush its process dies.
type moment string

// The moments, in the order in which a Flush comes by them.
const (
	beforeFlush moment = "with a batch that was not begun"
	insideFlush moment = "inside Flush"
	afterNil    moment = "after nil, before the worker knew"
	afterTold   moment = "just after the worker was told nil"
)

// witness sees every Flush of a worker's process. What it writes is in its file at
// once, whatever becomes of the process.
type witness struct {
	death death
	file  *os.File

	first  sync.Once
	armed  atomic.Bool
	struck sync.Once
	lasted atomic.Int64 // nanoseconds of the last Flush that returned nil
}

func newWitness(k *task) (*witness, error) {
	w := &witness{death: k.Death}
	if k.Witness == "" {
		return w, nil
	}
	var err error
	if w.file, err = os.OpenFile(k.Witness, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, fmt.Errorf("couldn't open the witness' file: %w", err)
	}
	return w, nil
}

// call is one Flush.
type call struct {
	witness *witness
	groups  int
	began   time.Time
	overdue *time.Timer // of a call that the worker has given up
}

func (w *witness) begins(groups int) *call {
	w.first.Do(func() { time.AfterFunc(w.death.After, func() { w.armed.Store(true) }) })
	w.strike(beforeFlush, 0)
	w.strike(insideFlush, time.Duration(w.death.Part*float64(w.lasted.Load())))
	w.say("%s %d 0\n", noteBegan, groups)
	c := &call{witness: w, groups: groups, began: time.Now()}
	c.overdue = time.AfterFunc(flushTimeout, func() { w.say("%s %d 0\n", noteOverdue, groups) })
	return c
}

// returns notes what the flusher says of its batch.
func (c *call) returns(unstored int) {
	c.overdue.Stop()
	w := c.witness
	w.say("%s %d %d\n", noteReturned, c.groups, unstored)
	if unstored == 0 {
		w.lasted.Store(int64(time.Since(c.began)))
		w.strike(afterNil, 0)
		w.strike(afterTold, time.Duration(w.death.Part*float64(toldWithin)))
	}
}

// toldWithin is how long acknowledgements take to leave the worker.
const toldWithin = 20 * time.Millisecond

// strike ends the process if this is its moment: at once, or in a while.
func (w *witness) strike(m moment, in time.Duration) {
	if m != w.death.Moment || !w.armed.Load() {
		return
	}
	w.struck.Do(func() {
		if in == 0 {
			die()
		}
		time.AfterFunc(in, die)
	})
}

// Words of the witness' file. Each line has one, the number of groups in the call,
// and how many of them it did not store.
const (
	noteBegan    = "began"
	noteReturned = "returned"
	noteOverdue  = "overdue" // the worker tries again while the call goes on
)

func (w *witness) say(format string, args ...any) {
	if w.file != nil {
		// A note that cannot be written shows: the parent waits for it.
		_, _ = fmt.Fprintf(w.file, format, args...)
	}
}

// testimony is what a witness has said so far, in groups.
type testimony struct {
	flushes int // calls that stored all they were given
	stored  int
	failed  int // in calls that failed or lasted too long
	open    int // in calls that have not returned
}

func readTestimony(path string) (testimony, error) {
	var t testimony
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return t, nil // the process has not begun
	}
	if err != nil {
		return t, fmt.Errorf("couldn't read what the worker's witness wrote: %w", err)
	}
	for line := range bytes.Lines(text) {
		var what string
		var groups, unstored int
		if _, err := fmt.Sscanf(string(line), "%s %d %d\n", &what, &groups, &unstored); err == nil {
			t.hear(what, groups, unstored)
		} // else it was torn by the kill
	}
	return t, nil
}

func (t *testimony) hear(what string, groups, unstored int) {
	switch what {
	case noteBegan:
		t.open += groups
	case noteOverdue:
		t.failed += groups
	case noteReturned:
		t.open -= groups
		t.stored += groups - unstored
		t.failed += unstored
		if unstored == 0 {
			t.flushes++
		}
	}
}
