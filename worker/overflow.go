package worker

import (
	"time"

	"github.com/flushline/flushline/internal/clock"
)

const (
	stalledFor   = time.Second     // of a strand, until lanes that hold it up are made to park
	crowdedAfter = 2 * time.Second // of a dead destination, until its lane is blocked if it crowds a strand
	queuedFor    = time.Second / 2 // that a slow lane may need for what it queues
	capLeast     = 64 << 10        // bytes that a lane may always queue
	capOverhead  = 512             // bytes that a part counts beside its own: small ones fill a window, too
)

// relieve lets a strand be fetched again that is held up. Batches that wait to become
// fuller are closed. Of the other lanes, if their routes park, the one with the most of
// the strand and the one with its oldest part park it, if they are slower than what
// comes; they go on flushing at full rate. It returns the strands that lanes keep from
// being fetched, or soon will.
func (w *Worker) relieve(now time.Time) (crowded map[*strand]*holdup) {
	for _, s := range w.strandList() {
		if h := (&holdup{}); !s.info.Parked && s.crowded(now, h) {
			if crowded == nil {
				crowded = map[*strand]*holdup{}
			}
			crowded[s] = h
		}
	}
	if crowded == nil {
		return nil
	}
	w.closeBatchesOf(crowded)
	for _, l := range w.parkingLanes() {
		l.mu.Lock()
		if p := l.live.head; p != nil && l.state != batching && now.Sub(p.m.received) >= max(stalledFor, 2*time.Duration(l.took.Load())) {
			if h := crowded[p.m.strand]; h != nil && h.stalled {
				h.see(l, l.live.bytes+int64(l.live.n)*capOverhead, p.m.received)
			}
		}
		l.mu.Unlock()
	}
	for _, h := range crowded {
		if h.most == nil {
			continue
		}
		h.most.overflow(now)
		if h.first != h.most {
			h.first.overflow(now)
		}
	}
	return crowded
}

// crowded says that a strand is not fetched because of what it holds, or soon will not
// be; h says whether it was not for a while.
func (s *strand) crowded(now time.Time, h *holdup) bool {
	st := s.look(now)
	s.mu.Lock()
	full := s.full
	s.mu.Unlock()
	if st.State == strandWindowFull || st.State == strandBytesFull || st.State == strandBudgetExhausted {
		h.stalled = now.Sub(st.Since) >= stalledFor
		full = st.Since
	}
	h.stalled = h.stalled || !full.IsZero() && now.Sub(full) >= stalledFor
	return !full.IsZero() || st.Held >= int64(s.w.cfg.Limits.Window)*3/4
}

// holdup is which lanes hold up one strand.
type holdup struct {
	stalled     bool // it was not fetched for a while
	most, first *lane
	bytes       int64
	oldest      time.Time
}

func (h *holdup) see(l *lane, bytes int64, oldest time.Time) {
	if h.most == nil || bytes > h.bytes {
		h.most, h.bytes = l, bytes
	}
	if h.first == nil || oldest.Before(h.oldest) {
		h.first, h.oldest = l, oldest
	}
}

// overflow lets the lane queue what it has flushed in a while, half of what it has at
// most, and parks the oldest beyond it. What it has took as long as its oldest part waits.
func (l *lane) overflow(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone || l.park.phase == blocked || l.live.head == nil {
		return
	}
	was := l.live.bytes + int64(l.live.n)*capOverhead
	if l.park.cap > 0 {
		was = min(was, l.park.cap)
	}
	share := min(0.5, float64(queuedFor)/float64(max(now.Sub(l.live.head.m.received), 1)))
	l.park.cap, l.park.roomy = max(capLeast, int64(share*float64(was))), 0
	var first, last *part
	for l.live.head != nil && l.live.bytes+int64(l.live.n)*capOverhead > l.park.cap {
		p := l.live.pop()
		if last == nil {
			first = p
		} else {
			last.next = p
		}
		last = p
	}
	l.turnAwayLocked(first)
}

// overCapLocked says that what comes does not fit any more.
func (l *lane) overCapLocked(n int, bytes int64) bool {
	return l.live.n > 0 && l.live.bytes+bytes+int64(l.live.n+n)*capOverhead > l.park.cap
}

// uncapLocked lets a lane queue everything again when it has kept up for a while.
func (l *lane) uncapLocked(now time.Time) {
	switch {
	case l.park.cap == 0:
	case l.live.bytes+int64(l.live.n)*capOverhead > l.park.cap/4:
		l.park.roomy = 0
	case l.park.roomy.IsZero():
		l.park.roomy = clock.At(now)
	case l.park.roomy.Age(now) >= healthy:
		l.park.cap, l.park.roomy = 0, 0
	}
}

// parkingLanes are those of routes that park.
func (w *Worker) parkingLanes() []*lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lanes []*lane
	for id, l := range w.lanes {
		if id.entry.parkAfter.Load() != 0 {
			lanes = append(lanes, l)
		}
	}
	return lanes
}
