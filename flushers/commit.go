package flushers

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// GroupCommit lets the Flushes of many lanes join one write: each returns when the
// write that carried its data has returned. It is for destinations where a write
// costs much however little it carries (an insert, an object, a sync): ten thousand
// lanes with a little data each become a few writes a second. A kind keeps one in what
// its lanes share (Context.Shared).
//
// One write runs at a time. What comes meanwhile forms the next one, in the order in
// which it came. A write begins when the one before has returned and the first of
// these holds: its first member has waited for Linger, or an urgent one for a tenth of
// it; it is full (Items, Bytes). So without Linger nobody waits for company, and a lane alone
// pays for no coordination; with it a lane alone waits that long.
//
// # Whose memory
//
// An item must own its memory: encode the groups into it before Join. The write may
// still read it after Join returned, because the context of a member may end while
// the write runs. Never put a LogGroup, or a string of one, into an item: the worker
// may use that memory again as soon as Flush has returned (Kind.NoRetain), and what is
// kept is charged to nobody. A waiting member costs its item, about a hundred bytes
// here, and the goroutine that waits.
//
// # Results
//
// What a write returns is read as of a Flush, for its items: nil means that all are
// durable; a *PartialError names items by their index, and each member gets its own
// result; any other error goes to every member. An error that blames the data
// (Permanent, TooLarge) goes to nobody but its member: a write that several had joined
// is halved and written again until it is found, in at most 2*log2(n)+1 writes for one.
// A panic is an error of that write.
//
// The write's context ends when every member of it has left, and by Close. A write
// that does not return then holds up those that wait behind it; their Flushes end at
// their own time, with nothing written.
//
// Safe for concurrent use.
type GroupCommit[T any] struct {
	write  func(ctx context.Context, items []T) error
	limits CommitLimits

	ctx    context.Context // of all writes
	cancel context.CancelFunc
	ended  sync.WaitGroup // the goroutine that writes

	mu      sync.Mutex
	queue   []*commit[T] // the first is written next; members join the last
	writing bool         // somebody serves the queue
	closed  bool
	wake    chan struct{} // the first need not linger any more
}

// CommitLimits say when a write of a GroupCommit begins.
type CommitLimits struct {
	Linger time.Duration // how long its first member waits for others; 0: it does not
	Items  int           // members at most; 0: 10,000
	Bytes  int64         // of their sizes at most, unless it is one member; 0: 16 MiB
}

// commit is one write and who joined it.
type commit[T any] struct {
	seats   []seat[T]
	bytes   int64
	due     time.Time // it lingers until then
	taken   bool      // it is being written
	waiting int       // members that have not left
	cancel  context.CancelFunc
	done    chan struct{} // closed when every seat has its result
}

type seat[T any] struct {
	item T
	size int64
	gone bool // its member left before the write began
	err  error
}

const urgentShare = 10

var (
	errCommitClosed = errors.New("couldn't join a write: the destination is being closed")
	errWriteEnded   = errors.New("the write ended its goroutine (runtime.Goexit) instead of returning")
)

// NewGroupCommit starts nothing: a goroutine writes while there is something to write.
func NewGroupCommit[T any](limits CommitLimits, write func(ctx context.Context, items []T) error) *GroupCommit[T] {
	if limits.Items <= 0 {
		limits.Items = 10_000
	}
	if limits.Bytes <= 0 {
		limits.Bytes = 16 << 20
	}
	g := &GroupCommit[T]{write: write, limits: limits, wake: make(chan struct{}, 1)}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// Join returns nil when item is durable. An error says that it is not, or, when ctx
// ended while the write ran, that it is not known: like a Flush without answer, it is
// tried again. size is what Bytes counts. urgent (an instance that was told so, see
// Flusher.SetUrgent) has the write linger a tenth of its time at most: not less, as at a
// stop every lane is urgent and would write alone.
func (g *GroupCommit[T]) Join(ctx context.Context, item T, size int64, urgent bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, at := g.enter(item, size, urgent)
	if c == nil {
		return errCommitClosed
	}
	select {
	case <-c.done:
		return c.seats[at].err
	case <-ctx.Done():
		return g.leave(ctx, c, at)
	}
}

// Close ends the context of the running write and waits for its return. Who joins
// later, or has not been written, gets an error.
func (g *GroupCommit[T]) Close() error {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.cancel()
	g.poke()
	g.ended.Wait()
	return nil
}

func (g *GroupCommit[T]) enter(item T, size int64, urgent bool) (c *commit[T], at int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, 0
	}
	if n := len(g.queue); n > 0 {
		c = g.queue[n-1]
	}
	if c == nil || len(c.seats) >= g.limits.Items || c.bytes > 0 && c.bytes+size > g.limits.Bytes {
		c = &commit[T]{due: time.Now().Add(g.limits.Linger), done: make(chan struct{})}
		g.queue = append(g.queue, c)
	}
	at = len(c.seats)
	c.seats = append(c.seats, seat[T]{item: item, size: size})
	c.bytes += size
	c.waiting++
	if soon := time.Now().Add(g.limits.Linger / urgentShare); urgent && soon.Before(c.due) {
		c.due = soon
		g.poke()
	}
	if !g.writing {
		g.writing = true
		g.ended.Add(1)
		go g.serve()
	} else if g.dueLocked() {
		g.poke()
	}
	return c, at
}

// leave takes a member out whose context has ended.
func (g *GroupCommit[T]) leave(ctx context.Context, c *commit[T], at int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-c.done:
		return c.seats[at].err
	default:
	}
	c.waiting--
	if !c.taken {
		c.bytes -= c.seats[at].size
		c.seats[at] = seat[T]{gone: true}
		return fmt.Errorf("couldn't join a write in time, so nothing was written: %w", ctx.Err())
	}
	if c.waiting == 0 {
		c.cancel()
	}
	return fmt.Errorf("couldn't wait for the joined write, which may still store the data: %w", ctx.Err())
}

// dueLocked says that the first of the queue need not linger.
func (g *GroupCommit[T]) dueLocked() bool {
	c := g.queue[0]
	return len(g.queue) > 1 || c.bytes >= g.limits.Bytes || len(c.seats) >= g.limits.Items || g.closed
}

func (g *GroupCommit[T]) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// serve writes until the queue is empty. If a write ends its goroutine, another goes
// on.
func (g *GroupCommit[T]) serve() {
	over := false
	defer func() {
		if !over {
			go g.serve()
			return
		}
		g.ended.Done()
	}()
	for c := g.next(); c != nil; c = g.next() {
		g.carry(c)
	}
	over = true
}

// next waits until the first of the queue is due. Nil: the queue is empty.
func (g *GroupCommit[T]) next() *commit[T] {
	for {
		c, wait := g.take()
		if wait <= 0 {
			return c
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-g.wake:
			t.Stop()
		}
	}
}

func (g *GroupCommit[T]) take() (c *commit[T], wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.writing = false
		return nil, 0
	}
	c = g.queue[0]
	if wait := time.Until(c.due); wait > 0 && !g.dueLocked() && c.waiting > 0 {
		return nil, wait
	}
	g.queue[0] = nil
	g.queue = g.queue[1:]
	c.taken = true
	return c, 0
}

// carry writes what a commit holds and gives every seat its result.
func (g *GroupCommit[T]) carry(c *commit[T]) {
	ctx, cancel := context.WithCancel(g.ctx)
	defer cancel()
	g.mu.Lock()
	c.cancel = cancel
	if c.waiting == 0 { // they have all left before
		cancel()
	}
	g.mu.Unlock()
	var live []*seat[T]
	for i := range c.seats {
		if s := &c.seats[i]; !s.gone {
			s.err = errWriteEnded
			live = append(live, s)
		}
	}
	defer func() {
		var none T
		for i := range c.seats { // members may keep the commit a while: not what it carried
			c.seats[i].item = none
		}
		close(c.done)
	}()
	if len(live) > 0 {
		g.settle(ctx, live)
	}
}

// settle writes the items of seats, in halves if the write blames the data of one.
func (g *GroupCommit[T]) settle(ctx context.Context, seats []*seat[T]) {
	items := make([]T, len(seats))
	for i, s := range seats {
		items[i] = s.item
	}
	err := g.call(ctx, items)
	class, _ := Classify(err)
	if n := len(seats); n > 1 && (class == ClassPermanent || class == ClassTooLarge) {
		g.settle(ctx, seats[:n/2])
		g.settle(ctx, seats[n/2:])
		return
	}
	var partial *PartialError
	if class == ClassPartial && errors.As(err, &partial) {
		if err = misfit(partial, len(seats)); err == nil {
			for i, s := range seats {
				s.err = partial.Failed[i]
			}
			return
		}
	}
	for _, s := range seats {
		s.err = err
	}
}

// misfit is why nothing of a partial result can be believed.
func misfit(p *PartialError, n int) error {
	if p == nil {
		return errors.New("the joined write says that items failed, and not which")
	}
	for i, why := range p.Failed {
		if i < 0 || i >= n || why == nil {
			return fmt.Errorf("the joined write says that item %d of %d failed, and why: %s", i, n, text(why))
		}
	}
	return nil
}

// text keeps only what an error says: its class is not believed either.
func text(err error) string {
	if err == nil {
		return "nothing"
	}
	return err.Error()
}

func (g *GroupCommit[T]) call(ctx context.Context, items []T) (err error) {
	if ctx.Err() != nil {
		return errCommitClosed
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the joined write panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return g.write(ctx, items)
}
