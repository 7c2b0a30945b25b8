package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/group"
)

// committer stores the positions of all cursors of a source: once an interval, or
// earlier when many messages have ended, all in one request. One request is under
// way at a time; what moves meanwhile goes with the next, so a coordinator that
// does not answer costs nothing but age. A lease that ends goes first: it cuts
// short the request under way, and shares its own only with leases that end, too.
type committer struct {
	commit   func(ctx context.Context, marks []mark) []error
	every    time.Duration
	messages int64

	ended  atomic.Int64  // since the last request was made up
	wake   chan struct{} // enough has ended, or a lease ends
	closed chan struct{} // run has returned

	mu      sync.Mutex
	cursors map[*cursor]struct{}
	finals  []*final // waiting for the next request
	yield   func()   // cuts the request under way short; nil: there is none, or it holds a final
}

// final is the last commit of a lease, and who waits for it.
type final struct {
	ctx    context.Context
	cursor *cursor
	done   chan outcome // receives once
}

// outcome is the answer to a last commit. again: it says nothing about the next
// one.
type outcome struct {
	err   error
	again bool
}

const (
	// patience is how long one request may take. What is sent again after it is
	// newer.
	patience = 5 * time.Second

	// finalAgain is the pause before a last commit is tried again.
	finalAgain = 100 * time.Millisecond
)

var (
	errMakesWay  = errors.New("the commit made way for the last one of a lease")
	errCommitter = errors.New("no more offsets are committed: the source has stopped")
)

// newCommitter makes a committer whose run has to be called. commit stores marks
// and returns nil, or an error or nil for each. It waits for what passes until ctx
// ends; what it refuses before that, it would refuse again.
func newCommitter(cfg CommitConfig, commit func(context.Context, []mark) []error) *committer {
	return &committer{
		commit:   commit,
		every:    cfg.Every,
		messages: int64(cfg.Messages),
		wake:     make(chan struct{}, 1),
		closed:   make(chan struct{}),
		cursors:  map[*cursor]struct{}{},
	}
}

// add makes the committer look after a cursor, until final or drop.
func (c *committer) add(cur *cursor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursors[cur] = struct{}{}
}

// drop ends a cursor without a last commit: its lease was lost.
func (c *committer) drop(cur *cursor) {
	cur.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cursors, cur)
}

// settled counts a message that has ended. It is part of every Ack.
func (c *committer) settled() {
	if c.ended.Add(1) == c.messages {
		c.poke()
	}
}

func (c *committer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run commits until ctx ends. It has to outlive every lease, for their last
// commits; it makes none of its own.
func (c *committer) run(ctx context.Context) {
	defer close(c.closed)
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		if ctx.Err() == nil {
			c.round(ctx)
		}
	}
}

// round makes up one request and waits for its answer.
func (c *committer) round(ctx context.Context) {
	marks, finals := c.collect()
	if len(marks) == 0 {
		return
	}
	ctx, done := c.begin(ctx, finals)
	errs := c.commit(ctx, marks)
	cut := ctx.Err() != nil
	madeWay := done()
	now := time.Now()
	for i, m := range marks {
		var err error
		if i < len(errs) {
			err = errs[i]
		}
		if err == nil || !madeWay {
			m.cursor.stored(m, err, now)
		}
		if i < len(finals) {
			finals[i].done <- outcome{err, cut || tooMuchMetadata(err) && m.metadata != ""}
		}
	}
}

// collect returns what is to be stored now: the last commits of leases, or if there
// are none the positions of all that moved. Nobody who leaves waits for the trouble
// of those who stay.
func (c *committer) collect() (marks []mark, finals []*final) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.finals {
		m, over, news := f.cursor.last()
		switch {
		case over:
			f.done <- outcome{err: group.ErrNotOwned}
		case !news:
			f.done <- outcome{}
		default:
			marks, finals = append(marks, m), append(finals, f)
		}
	}
	c.finals = nil
	if len(finals) > 0 {
		return marks, finals
	}
	c.ended.Store(0)
	now := time.Now()
	for cur := range c.cursors {
		if m, ok := cur.due(now); ok {
			marks = append(marks, m)
		}
	}
	return marks, nil
}

// begin bounds a request: by patience, by who waits for the last commit of a lease
// in it and, if nobody does, by the first who wants one. done ends it and says
// whether it was cut short for somebody's sake, which is no failure.
func (c *committer) begin(ctx context.Context, finals []*final) (_ context.Context, done func() (madeWay bool)) {
	until := time.Now().Add(patience)
	for _, f := range finals {
		if d, ok := f.ctx.Deadline(); ok && d.Before(until) {
			until = d
		}
	}
	ctx, release := context.WithDeadline(ctx, until)
	ctx, cancel := context.WithCancelCause(ctx)
	yield := func() { cancel(errMakesWay) }
	var stops []func() bool
	for _, f := range finals {
		stops = append(stops, context.AfterFunc(f.ctx, yield))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(finals) == 0 {
		c.yield = yield
		if len(c.finals) > 0 {
			yield()
		}
	}
	return ctx, func() bool {
		c.mu.Lock()
		c.yield = nil
		c.mu.Unlock()
		for _, stop := range stops {
			stop()
		}
		madeWay := errors.Is(context.Cause(ctx), errMakesWay)
		cancel(nil)
		release()
		return madeWay
	}
}

// final commits a lease that ends, with its gap map, and waits until that is
// stored, cannot be, or ctx ends. Whatever it returns, the cursor is over then.
// All that was handed out has to be settled before.
func (c *committer) final(ctx context.Context, cur *cursor) error {
	defer c.drop(cur)
	for {
		o := c.attempt(ctx, cur)
		if o.err == nil {
			return nil
		}
		if o.again {
			select {
			case <-time.After(finalAgain):
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("couldn't commit the end of %s, so messages that have ended may come again: %w", cur.partition, o.err)
	}
}

func (c *committer) attempt(ctx context.Context, cur *cursor) outcome {
	f := &final{ctx: ctx, cursor: cur, done: make(chan outcome, 1)}
	c.mu.Lock()
	c.finals = append(c.finals, f)
	if c.yield != nil {
		c.yield()
	}
	c.mu.Unlock()
	c.poke()
	select {
	case o := <-f.done:
		return o
	case <-ctx.Done():
		c.withdraw(f)
		return outcome{err: context.Cause(ctx)}
	case <-c.closed:
		return outcome{err: errCommitter}
	}
}

func (c *committer) withdraw(f *final) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finals = slices.DeleteFunc(c.finals, func(o *final) bool { return o == f })
}

// tooMuchMetadata says that the broker takes less (offset.metadata.max.bytes) than
// a gap map may need.
func tooMuchMetadata(err error) bool { return errors.Is(err, kafka.OffsetMetadataTooLarge) }
