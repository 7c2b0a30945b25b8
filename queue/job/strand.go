package job

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// strand is one slice being read. Three kinds of goroutines meet in it: the pump,
// which owns the Reader, the worker's single Fetch, and those that settle
// deliveries.
type strand struct {
	src   *Source
	slice Slice
	n     int64 // which slice of the shard
	info  queue.Info
	host  queue.Host
	log   *zap.Logger
	wake  chan struct{} // Fetch has a reason to look again
	ask   chan struct{} // the pump has

	mu       sync.Mutex
	mark     *queue.Watermark
	in       []*delivery // received, not handed out
	weights  []time.Duration
	inBytes  int64
	demand   demand
	asked    int64 // bytes that a Read under way may bring
	over     error // io.EOF: nothing more will come
	closed   bool
	trouble  trouble // why nothing comes
	held     string  // why nothing is handed out that came
	behind   bool    // it is, for so much was handed out that no checkpoint has
	consumer Consumer
	position int64 // the newest handed out; -1: none

	seams   []seam
	samples []sample
	noted   int              // notes of damage that seams have
	done    []queue.Interval // ended before this start; they are not handed out
	owed    int64            // messages in done that were not read again yet

	added, marked int64 // ordinals given out, and ended
	ended         int64 // messages that ended since the start
	unsettled     int64
	released      int64
	counts        counts
	failure       *Failure
}

// demand is what the pump may read: it is the worker's room while Fetch waits, and
// one batch ahead after a Fetch that emptied the buffer.
type demand struct {
	waiting bool
	refill  bool
	bytes   int64
}

// trouble is a state of queue.Status and its cause.
type trouble struct{ state, cause string }

// A Read is asked for at most this much, and for a waiting Fetch waits until at
// least so much of the budget is free.
const (
	readBytes = 4 << 20
	readLeast = 64 << 10
)

// newStrand begins a slice where an earlier start left it.
func (s *Source) newStrand(slice *Slice, n int64, h queue.Host, left *openSlice) *strand {
	st := &strand{
		src: s, slice: *slice, n: n, host: h, position: -1,
		info: queue.Info{Source: s.cfg.Name, Name: slice.Name, Incarnation: slice.Stamp, Bounded: true, Accounted: true},
		log:  s.cfg.Log.With(zap.String("slice", slice.Name)),
		wake: make(chan struct{}, 1), ask: make(chan struct{}, 1),
	}
	at := slice.From
	if left != nil {
		at, st.done, st.owed = left.At, left.spans, left.Messages
		if mutant.On(mutant.ResumeSkips) {
			at++
		}
		if mutant.On(mutant.ResumeForgets) {
			st.done, st.owed = nil, 0
		}
	}
	st.mark = queue.NewWatermark(at, 1<<10)
	return st
}

// Info implements queue.Strand.
func (s *strand) Info() queue.Info { return s.info }

// Fetch implements queue.Strand.
func (s *strand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	for {
		out, wait, err := s.collect(room)
		if len(out) > 0 || err != nil {
			return out, err
		}
		var opened <-chan struct{}
		var due <-chan time.Time
		if wait != nil {
			opened = wait.changed
			if wait.after > 0 {
				due = time.After(wait.after)
			}
		}
		select {
		case <-s.wake:
		case <-opened:
		case <-due:
		case <-ctx.Done():
			s.mu.Lock()
			s.demand.waiting = false
			s.mu.Unlock()
			return nil, fmt.Errorf("couldn't fetch from %s: %w", s.slice.Name, context.Cause(ctx))
		}
	}
}

// collect takes what lies in the buffer and may be handed out, or lets the pump read.
func (s *strand) collect(room queue.Room) (out []*queue.Delivery, wait *hold, err error) {
	wait = s.src.cfg.Gate.shut()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.behind = "", false
	switch {
	case len(s.in) == 0 && s.over != nil:
		return nil, nil, s.over
	case wait != nil:
		s.held = wait.why
		return nil, wait, nil
	case len(s.in) == 0:
		s.demand = demand{waiting: true, bytes: room.Bytes}
		poke(s.ask)
		return nil, nil, nil
	}
	n := s.src.reserve(s.fitLocked(room))
	if n == 0 {
		s.behind = true
		return nil, nil, nil
	}
	if gate := s.src.cfg.Gate; gate != nil {
		passed, wait := gate.pass(s.weightLocked, n)
		s.src.unreserve(n - passed)
		if passed == 0 {
			s.held = wait.why
			return nil, wait, nil
		}
		n = passed
	}
	return s.handOutLocked(n, room), nil, nil
}

// fitLocked is how many buffered messages fit into room, one at least.
func (s *strand) fitLocked(room queue.Room) int {
	n, bytes := 0, int64(0)
	for n < len(s.in) && (n == 0 || n < room.Messages) {
		if bytes += s.in[n].Held(); n > 0 && bytes > room.Bytes {
			break
		}
		n++
	}
	return n
}

func (s *strand) weightLocked(i int) time.Duration {
	if i < len(s.weights) {
		return s.weights[i]
	}
	return 0
}

func (s *strand) handOutLocked(n int, room queue.Room) []*queue.Delivery {
	out := make([]*queue.Delivery, n)
	var bytes int64
	for i, d := range s.in[:n] {
		out[i] = &d.Delivery
		bytes += d.Held()
	}
	clear(s.in[:n])
	s.in = s.in[n:]
	s.weights = s.weights[min(n, len(s.weights)):]
	s.inBytes -= bytes
	s.unsettled += int64(n)
	s.position = out[n-1].Message().Position
	s.demand = demand{}
	if len(s.in) == 0 && s.over == nil && room.Bytes > bytes {
		s.demand = demand{refill: true, bytes: room.Bytes - bytes}
		poke(s.ask)
	}
	return out
}

// close ends the strand for its pump; what lies in the buffer is given back.
func (s *strand) close() {
	s.mu.Lock()
	bytes := s.inBytes
	s.closed = true
	s.in, s.weights, s.inBytes = nil, nil, 0
	s.mu.Unlock()
	if bytes > 0 {
		s.host.Give(bytes)
	}
}

// finished says that everything of the slice has ended.
func (s *strand) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over != nil && len(s.in) == 0 && s.unsettled == 0 && s.released == 0
}

// Status implements queue.Strand.
func (s *strand) Status() queue.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	low := s.mark.Low()
	s.foldLocked(low)
	st := queue.Status{
		State: queue.StateConsuming, Position: s.position, Committed: low - 1, End: -1, Lag: -1,
		Unsettled: s.unsettled, Buffered: int64(len(s.in)), BufferedBytes: s.inBytes, RequestedBytes: s.asked,
	}
	if s.slice.To >= 0 {
		st.End, st.Lag = s.slice.To-1, s.slice.To-low
	}
	if s.unsettled > 0 {
		for len(s.samples) > 1 && s.samples[1].position <= low {
			s.samples = s.samples[1:]
		}
		st.Oldest = s.samples[0].time
	}
	if len(s.counts.passed) > 0 {
		st.PassedOver = maps.Clone(s.counts.passed)
	}
	switch {
	case s.closed:
		st.State = queue.StateEnded
	case s.trouble.state != "":
		st.State, st.Cause = s.trouble.state, s.trouble.cause
	case s.behind:
		if st.Cause, st.Full = s.src.behind(), s.src.saving.Load() == nil; !st.Full {
			st.State = queue.StateStalled
		}
	case s.held != "":
		st.State, st.Cause = queue.StateStalled, s.held
	}
	return st
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
