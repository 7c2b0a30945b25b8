package worker

import (
	"cmp"
	"slices"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

// Batches wait to become fuller, for as long as their entry says. They are closed
// before that while everybody waits for what they hold: the bytes of a pool, or the
// place of their strand. Half of them at a time, so that a blocked destination does
// not turn everybody's batches into single groups.

// pressure says that a pool is four fifths used.
func (w *Worker) pressure() bool {
	return w.held.free.Load() < w.held.limit/5 || w.work.free.Load() < w.work.limit/5
}

// closeBatches closes the largest waiting batches while a pool is nearly used up. At
// most ten times a second.
func (w *Worker) closeBatches() {
	if !w.pressure() {
		return
	}
	now := clock.Now()
	last := w.pressed.Load()
	if now-last < int64(100*time.Millisecond) || !w.pressed.CompareAndSwap(last, now) {
		return
	}
	w.closeHalf(func(*lane) bool { return true }, func(a, b *waitingBatch) int { return cmp.Compare(b.bytes, a.bytes) })
}

// closeBatchesOf closes the oldest waiting batches that begin with a part of a strand
// that is held up: nothing more comes that could make them fuller, and the oldest part
// may be all that keeps the strand.
func (w *Worker) closeBatchesOf(crowded map[*strand]*holdup) {
	w.closeHalf(func(l *lane) bool {
		if l.live.head == nil {
			return false
		}
		h := crowded[l.live.head.m.strand]
		return h != nil && h.stalled
	},
		func(a, b *waitingBatch) int { return a.oldest.Compare(b.oldest) })
}

// waitingBatch is a lane whose batch waits to become fuller.
type waitingBatch struct {
	l      *lane
	bytes  int64
	oldest time.Time
}

// closeHalf closes of the waiting batches that are meant, whose lane is locked, half of
// the bytes, in order.
func (w *Worker) closeHalf(meant func(*lane) bool, order func(a, b *waitingBatch) int) {
	var waiting []*waitingBatch
	var total int64
	for _, l := range w.laneList() {
		l.mu.Lock()
		if l.waiting && l.state == batching && meant(l) {
			b := &waitingBatch{l: l, bytes: l.live.bytes}
			if p := l.live.head; p != nil {
				b.oldest = p.m.received
			}
			waiting = append(waiting, b)
			total += b.bytes
		}
		l.mu.Unlock()
	}
	slices.SortFunc(waiting, order)
	var run []*lane
	for closed := int64(0); len(waiting) > 0 && closed <= total/2; waiting = waiting[1:] {
		l := waiting[0].l
		l.mu.Lock()
		if l.waiting && l.state == batching {
			l.waiting, l.closed = false, true
			run = append(run, l)
			closed += waiting[0].bytes
		}
		l.mu.Unlock()
	}
	w.runners.schedule(run)
}
