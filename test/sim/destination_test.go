package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// extraEntry is one that reloads add to the route "rest" and take away again.
const extraEntry = "rest/x"

var (
	errDown  = errors.New("sim: connection refused")
	errDead  = errors.New("sim: this process is dead")
	errFatal = errors.New("sim: 400")
)

// destination is what one flusher entry talks to, whichever worker does. What it
// answers depends on the seed, the first group of a call and how often that was tried.
type destination struct {
	w     *world
	entry string

	ill      int // one of so many calls goes wrong, until all is well
	poison   int // one of so many groups is refused for good
	flaky    int // one of so many questions finds it not ready
	slowest  time.Duration
	noRetain bool
	raw      bool
	plain    bool
	atATime  int
	batch    worker.Batch
	timeout  time.Duration

	calm   bool        // all is well from the beginning
	silent atomic.Bool // a fault: it hangs

	mu    sync.Mutex
	tries map[string]int
	deaf  map[string]int // calls that did not return in time, by the groups they had
}

func newDestination(w *world, d *dice, entry string) *destination {
	t := &destination{
		w: w, entry: entry, tries: map[string]int{}, deaf: map[string]int{},
		ill: d.between(3, 14), poison: pick(d, 12, 40, 1<<30), flaky: d.between(3, 12), slowest: pick(d, 50*time.Millisecond, 800*time.Millisecond, 3*time.Second),
		noRetain: d.one(3), raw: d.one(4), plain: d.one(4), atATime: pick(d, 1, 1, 3),
		batch:   worker.Batch{Groups: pick(d, 0, 1, 3, 20), Wait: pick(d, 0, 0, 300*time.Millisecond, 2*time.Second)},
		timeout: d.within(2*time.Second, 6*time.Second),
	}
	if t.plain {
		t.raw, t.atATime = false, 1
	}
	switch w.mood {
	case clean: // a drain has to have the time it needs
		t.slowest = min(t.slowest, 800*time.Millisecond)
	case held, alone: // so that there are dead letters while their queue fails
		t.poison = min(t.poison, 12)
	}
	return t
}

// hangs notes a call that does not return in time.
func (t *destination) hangs(groups []*protocol.LogGroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range groups {
		t.deaf[groupID(g)]++
	}
}

// dooms says whether a group may become a dead letter: what is refused for good, and what
// hung three times, by chance or not.
func (t *destination) dooms(group, reason string) bool {
	t.mu.Lock()
	deaf := t.deaf[group]
	t.mu.Unlock()
	return t.poisoned(group) || reason == worker.ReasonHangs && deaf >= 3
}

// poisoned is a property of the group: refused now, refused always.
func (t *destination) poisoned(group string) bool {
	return throw(t.w.seed, "poison", t.entry, group).one(t.poison)
}

// script is the destination as one worker's process sees it.
func (t *destination) script(p *pod) *checker.Script {
	s := checker.New()
	s.NoRetain, s.Raw, s.Plain, s.Concurrent, s.OneInstance = t.noRetain, t.raw, t.plain, t.atATime, true
	s.Do(-1, func(ctx context.Context, call *checker.Call) error { return t.flush(ctx, p, call) })
	s.ReadyWhen(func(key protocol.Key) bool { return t.ready(p, key) })
	s.OnInit(-1, func(c flushers.Context) error { return t.start(p, c) })
	s.OnStop(func(key protocol.Key) error { return t.stop(p, key) })
	return s
}

// turn counts how often something was asked, and throws dice for this time.
func (t *destination) turn(what, name string) *dice {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := what + " " + name
	t.tries[key]++
	return throw(t.w.seed, t.entry, key, fmt.Sprint(t.tries[key]))
}

// groupsOf are the groups of a call, each with its bytes. A batch has both, but for
// kinds that want the bytes alone.
func groupsOf(call *checker.Call) (groups []*protocol.LogGroup, raws [][]byte, err error) {
	for i := range call.Len() {
		var g *protocol.LogGroup
		var raw []byte
		if len(call.Raw) > 0 {
			raw = call.Raw[i]
		}
		switch {
		case len(call.Groups) > 0:
			g = call.Groups[i]
			b, err := g.Marshal()
			if err != nil {
				return nil, nil, err
			}
			if raw != nil && !bytes.Equal(raw, b) {
				return nil, nil, fmt.Errorf("group %s is not its own bytes", groupID(g))
			}
			raw = b
		default:
			_, found, err := protocol.Scan(raw, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
			if err != nil || len(found) != 1 {
				return nil, nil, fmt.Errorf("%d groups in one: %w", len(found), err)
			}
			g = found[0].Decode()
		}
		groups, raws = append(groups, g), append(raws, raw)
	}
	return groups, raws, nil
}

func (t *destination) flush(ctx context.Context, p *pod, call *checker.Call) error {
	groups, raws, err := groupsOf(call)
	if err != nil {
		t.w.book.violate("corrupt: %s got what cannot be read: %v", t.entry, err)
		return err
	}
	d := t.turn("flush", groupID(groups[0]))
	if t.silent.Load() {
		t.w.saw("destination-silent")
		t.hangs(groups)
		<-ctx.Done()
		return ctx.Err()
	}
	if !t.well() && d.one(t.ill) {
		if err := t.trouble(ctx, d, p, groups, raws); err != nil {
			return err
		}
	} else if d.one(3) {
		t.w.saw("flush-slow")
		if err := sleep(ctx, d.within(0, t.slowest)); err != nil {
			return err
		}
	}
	return t.take(p, groups, raws, nil)
}

// take stores what is neither poisoned nor named as failed.
func (t *destination) take(p *pod, groups []*protocol.LogGroup, raws [][]byte, failed map[int]error) error {
	if p.dead.Load() { // nobody is there to hear the answer, and the request never left
		return errDead
	}
	refused := map[int]error{}
	for i, g := range groups {
		if t.poisoned(groupID(g)) {
			refused[i] = flushers.Permanent(errFatal)
			t.w.saw("flush-permanent")
		} else if failed[i] != nil {
			refused[i] = failed[i]
		}
	}
	if len(refused) > 0 && failed == nil && throw(t.w.seed, t.entry, "whole", groupID(groups[0])).one(2) {
		return flushers.Permanent(errFatal) // of the whole batch: who is to blame has to be found
	}
	for i, g := range groups {
		if refused[i] == nil {
			t.w.book.stored(t.entry, raws[i], g)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return &flushers.PartialError{Failed: refused}
}

// trouble is an answer that stores nothing, or a part. nil: none came of it.
func (t *destination) trouble(ctx context.Context, d *dice, p *pod, groups []*protocol.LogGroup, raws [][]byte) error {
	kinds := []string{"error", "error", "retry-after", "partial", "partial", "too-large", "panic"}
	if t.w.mood != clean {
		kinds = append(kinds, "misconfigured", "hang", "deaf")
	}
	kind := pick(d, kinds...)
	switch kind {
	case "partial":
		failed := map[int]error{}
		for i := range groups {
			if d.one(2) {
				failed[i] = errDown
			}
		}
		if len(failed) == 0 {
			return nil
		}
		t.w.saw("flush-partial")
		return t.take(p, groups, raws, failed)
	case "too-large":
		if len(groups) == 1 { // alone it would become a dead letter
			return nil
		}
	}
	t.w.saw("flush-" + kind)
	switch kind {
	case "retry-after":
		return flushers.RetryAfter(errDown, d.within(0, 5*time.Second))
	case "too-large":
		return flushers.TooLarge(errDown)
	case "misconfigured":
		return flushers.Misconfigured(errDown)
	case "panic":
		panic("sim: panic in Flush")
	case "hang": // a plain flusher has no context that would end it in time
		t.hangs(groups)
		<-ctx.Done()
		return ctx.Err()
	case "deaf": // to its context; it stores nothing
		t.hangs(groups)
		time.Sleep(d.within(t.timeout, 4*t.timeout))
	}
	return errDown
}

func (t *destination) ready(p *pod, key protocol.Key) bool {
	d := t.turn("ready", key.String())
	switch {
	case t.well() || p.dead.Load():
		return true
	case d.one(60):
		t.w.saw("ready-panic")
		panic("sim: panic in IsReady")
	case d.one(60) && t.w.mood != clean:
		t.w.saw("ready-slow")
		time.Sleep(d.within(0, 3*time.Second))
	}
	if d.one(t.flaky) {
		t.w.saw("not-ready")
		return false
	}
	return true
}

func (t *destination) start(p *pod, c flushers.Context) error {
	d := t.turn("start", c.GetLogstore())
	if t.well() || p.dead.Load() || !d.one(4) {
		return nil
	}
	t.w.saw("init-error")
	return errDown
}

func (t *destination) stop(p *pod, key protocol.Key) error {
	d := t.turn("stop", key.String())
	if t.well() || p.dead.Load() || !d.one(6) {
		return nil
	}
	t.w.saw("stop-error")
	time.Sleep(d.within(0, 2*time.Second))
	return errDown
}

func (t *destination) well() bool { return t.calm || t.w.well.Load() }

// sleep lasts d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
