package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/protocol"
)

// Bounds of taps. What waits for a reader is taken from the held pool, if it is free.
const (
	maxTaps      = 4
	maxTapBytes  = 4 << 20 // of one tap, and no more than tapShare of the pool
	tapShare     = 32
	tapOverhead  = 1 << 10
	tapLogs      = 100 // of a group that is shown
	MaxTapGroups = 10_000
)

// ErrTaps is in the error of a Tap beyond those that may be open at once.
var ErrTaps = fmt.Errorf("%d taps are open, and no more may be: wait until one has ended", maxTaps)

// TapRequest says what a tap shows.
type TapRequest struct {
	Target        // a route, a flusher entry or a lane
	Groups   int  // it ends after so many; 1 to MaxTapGroups
	Contents bool // with the values of contents and tags; needs Config.TapContents
}

// Sample is one group on its way to a lane.
type Sample struct {
	Route    string        `json:"route"`
	Flusher  string        `json:"flusher"`
	Project  string        `json:"project"`
	Logstore string        `json:"logstore"`
	Config   string        `json:"config"`
	ID       string        `json:"id"`
	Strand   string        `json:"strand"`
	Parked   bool          `json:"parked,omitempty"` // it comes from the parked
	Position int64         `json:"position"`
	Received time.Time     `json:"received"`
	Bytes    int           `json:"bytes"` // of protobuf
	Group    protocol.View `json:"group"`
}

// TapCounts is what came by an open tap.
type TapCounts struct {
	Seen int64 `json:"seen"` // groups, until it had all it was asked for
	Lost int64 `json:"lost"` // of those: the reader was too slow, or memory was short
}

// Tap shows groups as strands hand them to lanes. Nobody waits for it: what finds no
// room is counted as lost. Next and Close are for one goroutine.
type Tap struct {
	w       *Worker
	request TapRequest
	limit   int64         // of bytes
	came    chan struct{} // holds one wake-up
	full    atomic.Bool   // nothing more is taken
	shown   int64         // bytes of the group that Next returned last

	mu      sync.Mutex
	waiting []*tapped
	bytes   int64
	taken   int
	counts  TapCounts
}

// tapped is a group that waits for the reader, in memory of its own.
type tapped struct {
	Sample
	group protocol.Group
	cost  int64
}

// Tap implements Control; the caller closes the tap. Errors: ErrTarget, ErrTaps, and
// without a name that the request asks for what this worker does not show.
func (w *Worker) Tap(r TapRequest) (*Tap, error) {
	if r.Route == "" || r.Strand != "" {
		return nil, targetError("name a route: a tap is on a route, a flusher of it or a lane")
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	switch {
	case r.Groups < 1 || r.Groups > MaxTapGroups:
		return nil, fmt.Errorf("a tap shows 1 to %d groups, not %d", MaxTapGroups, r.Groups)
	case r.Contents && !w.cfg.TapContents:
		return nil, errors.New("this worker shows no values, as they may be private: leave --contents away, or set `admin: {tap: contents}` and start it again")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.knownLocked(&r.Target); err != nil {
		return nil, err
	}
	var open []*Tap
	if p := w.taps.Load(); p != nil {
		open = *p
	}
	if len(open) >= maxTaps {
		return nil, ErrTaps
	}
	t := &Tap{w: w, request: r, limit: min(maxTapBytes, w.held.limit/tapShare), came: make(chan struct{}, 1)}
	open = append(slices.Clip(open), t)
	w.taps.Store(&open)
	return t, nil
}

// Close ends the tap and gives back what waits in it.
func (t *Tap) Close() {
	t.leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.w.held.Give(t.bytes + t.shown)
	t.waiting, t.bytes, t.shown = nil, 0, 0
}

// leave has strands pass the tap by.
func (t *Tap) leave() {
	t.mu.Lock()
	t.full.Store(true)
	t.mu.Unlock()
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	p := t.w.taps.Load()
	if p == nil {
		return
	}
	open := slices.DeleteFunc(slices.Clone(*p), func(o *Tap) bool { return o == t })
	if len(open) == 0 {
		t.w.taps.Store(nil)
	} else {
		t.w.taps.Store(&open)
	}
}

// Next waits for a group. io.EOF: all that was asked for was shown; ErrTapStopped: the
// worker has stopped; else the cause of ctx.
func (t *Tap) Next(ctx context.Context) (*Sample, error) {
	for {
		if g := t.pop(); g != nil {
			g.Group = protocol.NewView(g.group.Decode(), tapLogs, t.request.Contents)
			return &g.Sample, nil
		}
		if t.full.Load() {
			t.leave()
			return nil, io.EOF
		}
		select {
		case <-t.came:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-t.w.hard.Done():
			return nil, ErrTapStopped
		}
	}
}

// ErrTapStopped is returned by Next when the worker has stopped.
var ErrTapStopped = errors.New("the worker has stopped")

// Counts may be called from any goroutine.
func (t *Tap) Counts() TapCounts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

func (t *Tap) pop() *tapped {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shown > 0 {
		t.w.held.Give(t.shown)
		t.shown = 0
	}
	if len(t.waiting) == 0 {
		return nil
	}
	g := t.waiting[0]
	t.waiting[0] = nil
	t.waiting = t.waiting[1:]
	t.bytes -= g.cost
	t.shown = g.cost // until the reader is done with it
	return g
}

// tapped shows what is staged to the taps that want it, while no lane has it yet: then
// its memory cannot go.
func (st *staged) tapped(taps []*Tap) {
	key := st.target.key.key()
	for _, t := range taps {
		if !t.full.Load() && t.request.holds(st.slot.entry, &key) {
			t.see(st)
		}
	}
}

// see takes copies while there is room, and counts.
func (t *Tap) see(st *staged) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := st.first; p != nil && !t.full.Load(); p = p.next {
		t.counts.Seen++
		if !t.takeLocked(st, p) {
			t.counts.Lost++
			continue
		}
		t.taken++
		if t.taken >= t.request.Groups {
			t.full.Store(true)
		}
	}
	poke(t.came)
}

func (t *Tap) takeLocked(st *staged, p *part) bool {
	// Raw and decoded, and once more as what the reader makes of it.
	cost := 2*p.bytes() + p.group.DecodedSize() + tapOverhead
	if t.bytes+cost > t.limit || t.w.held.grab(cost, cost) == 0 {
		return false
	}
	t.bytes += cost
	s, key := p.m.strand, st.target.key.key()
	g := &tapped{cost: cost, group: *p.group}
	g.group.Data = bytes.Clone(p.group.Data)
	g.Sample = Sample{
		Route: st.slot.entry.route, Flusher: st.slot.entry.flusher,
		Project: key.Project, Logstore: key.Logstore, Config: key.Config,
		ID: p.id().String(), Strand: s.info.Name, Parked: s.info.Parked, Position: p.m.d.Message().Position,
		Received: p.m.received, Bytes: len(p.group.Data),
	}
	t.waiting = append(t.waiting, g)
	return true
}
