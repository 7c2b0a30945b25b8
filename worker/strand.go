package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// source is what the worker knows of one configured queue.
type source struct {
	name  string
	index int // in tallies
	guard guard
	lost  books // parts of it that have no lane
	sums  sums
	meter atomic.Pointer[queue.Meter] // nil: it counts nothing beside its strands

	messages, acknowledged, givenBack atomic.Int64
}

// strand is the worker's side of a queue.Strand while it is served.
type strand struct {
	w      *Worker
	q      queue.Strand
	info   queue.Info
	source *source
	log    *zap.Logger

	held      atomic.Int64  // messages not settled
	heldBytes atomic.Int64  // bytes of messages whose memory is in use
	turning   atomic.Int64  // bytes of parts that wait to be parked, see turnCost
	wake      chan struct{} // poked when something was settled or freed, while waiting
	waiting   atomic.Bool
	halted    atomic.Pointer[string] // why it must not go on
	stuck     atomic.Int64           // messages that keep it from ever settling all
	ending    atomic.Bool
	using     atomic.Pointer[table] // while it hands out messages; see adopt

	// Of the goroutine that serves.
	msgs     []*message // not settled, and some that are
	slab     []message
	table    *table // that targets are of
	targets  targets
	staged   []staged
	served   map[laneID]*target // of a strand of parked records
	unwanted []*part            // staged, too, to be skipped
	largest  int64              // bytes of the largest message seen
	passedBy time.Time          // when parts without a lane last did not wait for one

	mu       sync.Mutex
	fetching context.Context // of Fetch; a pause ends it
	cut      context.CancelFunc
	state    string
	why      string
	since    time.Time // of state

	shown      string    // the state that people see: the queue's may be in front
	shownSince time.Time //
	looked     time.Time // when it was last compared
	full       time.Time // since when the queue says that it is full; zero: it does not
}

func (w *Worker) newStrand(q queue.Strand) *strand {
	info := q.Info()
	return &strand{
		w: w, q: q, info: info, source: w.sourceOf(info.Source),
		log:  w.cfg.Logger.With(zap.String("source", info.Source), zap.String("strand", info.Name)),
		wake: make(chan struct{}, 1), targets: newTargets(),
		state: strandFetching, since: time.Now(),
	}
}

// settled is called once for each message, from any goroutine.
func (s *strand) settled() {
	s.held.Add(-1)
	if s.waiting.Load() {
		poke(s.wake)
	}
}

func (s *strand) bytesFreed() {
	if s.waiting.Load() {
		poke(s.wake)
	}
}

// halt stops the strand for good: a part can neither be flushed nor kept.
func (s *strand) halt(why string, p *part) {
	if s.halted.CompareAndSwap(nil, &why) {
		s.log.Error("the strand stops here: it holds a message that cannot be delivered and there is no dead letter queue",
			zap.Int64("position", p.m.d.Message().Position), zap.String("why", why))
	}
	if !p.m.stuck.Swap(true) {
		s.stuck.Add(1)
	}
	poke(s.wake)
}

// fetchContext is what Fetch runs under: it ends with the strand, or for a pause.
// Whoever takes one looks at the pauses afterwards.
func (s *strand) fetchContext(ctx context.Context) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetching == nil || s.fetching.Err() != nil {
		s.fetching, s.cut = context.WithCancel(ctx)
	}
	return s.fetching
}

// cutFetch ends a Fetch under way: what it has received waits in the strand. The
// pause is stored before.
func (s *strand) cutFetch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut != nil {
		s.cut()
	}
}

// The states of a strand that the worker adds to the source's own.
const (
	strandFetching        = "fetching"
	strandWindowFull      = "window_full"
	strandBudgetExhausted = "budget_exhausted"
	strandBytesFull       = "share_of_budget_used"
	strandLanesExhausted  = "lanes_exhausted"
	strandParkingBehind   = "parking_behind"
	strandStopped         = "stopped"
	strandDraining        = "draining"
	strandPaused          = "paused"
)

func (s *strand) setState(state, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != state {
		s.state, s.since = state, time.Now()
	}
	s.why = why
}

// room says how much may be fetched now; nothing means pause, and why.
func (s *strand) room() (queue.Room, string, string) {
	if why := s.halted.Load(); why != nil {
		return queue.Room{}, strandStopped, *why
	}
	if p := s.pausedBy(); p != nil {
		return queue.Room{}, strandPaused, p.why()
	}
	window := int64(s.w.cfg.Limits.Window)
	left := window - s.held.Load()
	if left <= 0 {
		return queue.Room{}, strandWindowFull, "as many messages are unended as `limits.window` allows"
	}
	if s.behind() {
		return queue.Room{}, strandParkingBehind, "what blocked lanes do not take comes faster than it is parked"
	}
	st := s.q.Status()
	free := s.w.held.free.Load()
	bytes := 2*free - s.heldBytes.Load() - st.BufferedBytes - st.RequestedBytes
	// A strand that holds nothing is always fetched: nobody else would make room.
	if bytes <= 0 && s.heldBytes.Load() > 0 {
		if free < s.largest {
			return queue.Room{}, strandBudgetExhausted, "`limits.in_flight` is used up by the lanes named here"
		}
		return queue.Room{}, strandBytesFull, "the strand holds its share of `limits.in_flight`"
	}
	// Each byte that comes is one more held and one less free: a third of the
	// distance to the threshold reaches it.
	return queue.Room{Messages: int(min(left, fetchMessages)), Bytes: max(1, min(bytes/3, fetchBytes))}, strandFetching, ""
}

// One Fetch returns at most this much, so that lanes start while intake goes on.
const (
	fetchMessages = 512
	fetchBytes    = 4 << 20
)

// awaitRoom waits while the strand may not be fetched. Not being in Fetch is the
// pause. After a full window it goes on when a quarter is free.
func (s *strand) awaitRoom(ctx context.Context) (queue.Room, bool) {
	room, _, _ := s.room()
	if room.Messages > 0 {
		s.setStateIfNot(strandFetching)
		return room, ctx.Err() == nil
	}
	s.waiting.Store(true)
	s.w.held.watch(s.wake)
	defer s.w.held.unwatch(s.wake)
	defer s.waiting.Store(false)
	quarter := int64(s.w.cfg.Limits.Window+3) / 4
	for {
		room, state, why := s.room()
		window := int64(s.w.cfg.Limits.Window)
		if room.Messages > 0 && window-s.held.Load() >= quarter {
			s.setState(strandFetching, "")
			return room, true
		}
		if state != strandFetching {
			s.setState(state, why)
		}
		select {
		case <-ctx.Done():
			return queue.Room{}, false
		case <-s.wake:
		}
	}
}

func (s *strand) setStateIfNot(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != state {
		s.state, s.why, s.since = state, "", time.Now()
	}
}
