package worker_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
)

// What a lane's destination does.
const (
	drainOK = iota
	drainSlow
	drainDown
	drainMisconfigured
	drainUnready
	drainHangs // deaf to its context
	drainKinds
)

// drainLane is the destination of one lane. Its messages lie in one strand.
type drainLane struct {
	does  int
	delay time.Duration // of drainSlow
	since time.Time     // when it began, or when something came to wait, whichever is later
	known time.Time     // when the lane has noticed at the latest that it is well again
	open  chan struct{} // closed when what hangs may go on
}

// ill says that nothing of the lane moves.
func (l *drainLane) ill() bool {
	return l.does == drainDown || l.does == drainMisconfigured || l.does == drainUnready
}

// noticed is how long a lane may wait that does not know yet that it is well.
var noticed = [drainKinds]time.Duration{drainDown: drainRetry*3/2 + lag, drainMisconfigured: 30*time.Second + lag, drainUnready: 550*time.Millisecond + lag}

// drainStrand is one partition and the lease under which it is served.
type drainStrand struct {
	serving  bool
	ends     int // leases that are over
	ending   bool
	reason   queue.Reason
	deadline time.Time
	began    time.Time       // of the end
	held     map[string]bool // by the lease, and not flushed under it
}

// drains is the model: which messages a strand holds, which of them were flushed in
// time, and what an end of the strand may do with the rest. It stands between the queue
// and the worker to hear when a strand is given back.
type drains struct {
	*memory.Queue

	mu      sync.Mutex
	lanes   [drainLanes]drainLane
	strands [drainStrands]drainStrand
	sent    map[string]int // by id: its lane
	acked   map[string]bool
	late    map[string]int // how often it was stored too late to count
	wrong   []string
}

const (
	drainStrands = 2
	drainLanes   = 4
)

func newDrains(q *memory.Queue) *drains {
	d := &drains{Queue: q, sent: map[string]int{}, acked: map[string]bool{}, late: map[string]int{}}
	for i := range d.lanes {
		d.lanes[i].open = make(chan struct{})
	}
	return d
}

func (d *drains) blame(format string, args ...any) {
	d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
}

// Run puts the model between the worker and the queue.
func (d *drains) Run(ctx context.Context, h queue.Host) error {
	return d.Queue.Run(ctx, &drainHost{h, d})
}

type drainHost struct {
	queue.Host
	d *drains
}

// Serve notes when a lease begins and when it is over.
func (h *drainHost) Serve(ctx context.Context, s queue.Strand) error {
	var n int
	_, _ = fmt.Sscanf(s.Info().Name, "memory[%d]", &n) // the queue named it
	h.d.leased(n)
	err := h.Host.Serve(ctx, s)
	h.d.over(n)
	return err
}

// leased: what is not acknowledged is the new lease's.
func (d *drains) leased(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.strands[n] = drainStrand{serving: true, ends: d.strands[n].ends, held: map[string]bool{}}
	for id, lane := range d.sent {
		if lane%drainStrands == n && !d.acked[id] {
			d.strands[n].held[id] = true
			d.lanes[lane].since = time.Now()
		}
	}
}

// over judges when a lease ended: not before its deadline while something could end.
func (d *drains) over(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.strands[n]
	now := time.Now()
	switch {
	case !s.ending:
		d.blame("strand %d ended unasked", n)
	case s.reason == queue.Lost && now.Sub(s.began) > drainSlack:
		d.blame("strand %d was lost and ended %v later", n, now.Sub(s.began))
	case s.reason != queue.Lost && now.Before(s.deadline):
		for id := range s.held {
			if l := &d.lanes[d.sent[id]]; s.reason == queue.Stopping || !l.ill() && now.After(l.known) {
				d.blame("strand %d (%v) ended %v before its deadline with %s, whose destination is %d", n, s.reason, s.deadline.Sub(now), id, l.does)
			}
		}
	}
	s.serving, s.ending, s.held = false, false, nil
	s.ends++
}

// flush is Flush.
func (d *drains) flush(_ context.Context, c *checker.Call) error {
	d.mu.Lock()
	lane := laneOf(c.Key)
	l := d.lanes[lane]
	lease := d.strands[lane%drainStrands].ends
	d.mu.Unlock()
	switch l.does {
	case drainDown, drainUnready: // asked while it was still ready
		return errDown
	case drainMisconfigured:
		return flushers.Misconfigured(errDown)
	case drainSlow:
		time.Sleep(l.delay)
	case drainHangs:
		<-l.open
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.strands[lane%drainStrands]
	for _, g := range c.Groups {
		id := idOf(g)
		switch {
		case s.ends != lease || !s.serving: // its lease was over
			d.late[id]++
		case d.acked[id]:
			d.blame("%s was flushed again after it was acknowledged", id)
		default:
			d.acked[id] = true
			delete(s.held, id)
		}
	}
	return nil
}

func (d *drains) ready(k protocol.Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes[laneOf(k)].does != drainUnready
}

func (d *drains) set(lane, does int, delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.lanes[lane]
	if now := time.Now(); does != l.does {
		l.since = now
		if notices := now.Add(noticed[l.does]); notices.After(l.known) {
			l.known = notices
		}
	}
	close(l.open) // what hangs goes on
	l.does, l.delay, l.open = does, delay, make(chan struct{})
}

// publish notes a message before it is published.
func (d *drains) publish(id string, lane int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[id] = lane
	if s := &d.strands[lane%drainStrands]; s.serving && !s.ending {
		s.held[id] = true
		d.lanes[lane].since = time.Now()
	}
}

// endOf notes that a strand has to end. A second end counts only if it says that the
// strand is lost. False: it is not served.
func (d *drains) endOf(n int, reason queue.Reason, deadline time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &d.strands[n]
	if !s.serving {
		return false
	}
	if !s.ending || reason == queue.Lost {
		s.ending, s.reason, s.deadline, s.began = true, reason, deadline, time.Now()
	}
	return true
}
