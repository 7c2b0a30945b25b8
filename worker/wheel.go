package worker

import (
	"sync"
	"time"
)

const (
	wheelTick  = 10 * time.Millisecond
	wheelSlots = 256

	// Waits from longWait on end together, every longTicks: a wake-up of the
	// process costs as much as twenty lanes.
	longWait  = 100 * time.Millisecond
	longTicks = 8
)

// wheel wakes the waiting lanes of one flusher entry. Thousands of unready lanes
// with a timer each cost 100 ms of CPU a second; on a wheel they cost the asking
// alone. Waits longer than a turn come round early: the lane looks at its own
// clock and waits on.
type wheel struct {
	wake func([]waiter) // not called under the lock

	mu    sync.Mutex
	slots [wheelSlots][]waiter
	base  time.Time // the start of slot pos
	pos   int
	count int
	timer *time.Timer
	due   int // ticks until the timer fires
}

// waiter is a lane that waits, and which of its waits it is: one that was woken
// otherwise meanwhile is not woken again.
type waiter struct {
	lane *lane
	gen  uint32
}

func newWheel(wake func([]waiter)) *wheel { return &wheel{wake: wake} }

// add has a lane woken after about d, never more than a tick early.
func (w *wheel) add(x waiter, now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advanceLocked(now)
	ahead := int((now.Sub(w.base) + d + wheelTick - 1) / wheelTick)
	ahead = min(max(ahead, 1), wheelSlots-1)
	if d >= longWait {
		ahead += (longTicks - (w.pos+ahead)%longTicks) % longTicks
		ahead = min(ahead, wheelSlots-1)
	}
	i := (w.pos + ahead) % wheelSlots
	w.slots[i] = append(w.slots[i], x)
	w.count++
	if w.timer == nil || ahead < w.due {
		w.armLocked(ahead)
	}
}

// armLocked looks at the clock itself: add may be told a time that is long past, such
// as when a slow IsReady was asked, and the others on the wheel would wait so much
// longer.
func (w *wheel) armLocked(ticks int) {
	if w.timer != nil {
		w.timer.Stop()
	}
	w.due = ticks
	w.timer = time.AfterFunc(time.Until(w.base.Add(time.Duration(ticks)*wheelTick)), w.turn)
}

// turn takes the lanes of all slots that are past.
func (w *wheel) turn() {
	w.mu.Lock()
	now := time.Now()
	var lanes []waiter
	ticks := min(int(now.Sub(w.base)/wheelTick), wheelSlots-1)
	for range ticks {
		w.pos = (w.pos + 1) % wheelSlots
		w.base = w.base.Add(wheelTick)
		lanes = append(lanes, w.slots[w.pos]...)
		clear(w.slots[w.pos])
		w.slots[w.pos] = w.slots[w.pos][:0]
	}
	w.count -= len(lanes)
	if w.count > 0 {
		w.armLocked(w.nextLocked())
	} else {
		w.disarmLocked()
	}
	w.mu.Unlock()
	w.wake(lanes)
}

// disarmLocked also stops a timer that another turn armed.
func (w *wheel) disarmLocked() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// advanceLocked brings base up to now where no slot is passed by it: else a long
// wait would end early because the wheel has not turned for a while.
func (w *wheel) advanceLocked(now time.Time) {
	if w.count == 0 {
		w.base, w.pos = now, 0
		return
	}
	if past := int(now.Sub(w.base) / wheelTick); past > 0 && past < w.due {
		w.pos = (w.pos + past) % wheelSlots
		w.base = w.base.Add(time.Duration(past) * wheelTick)
		w.due -= past
	}
}

func (w *wheel) nextLocked() int {
	for n := 1; n < wheelSlots; n++ {
		if len(w.slots[(w.pos+n)%wheelSlots]) > 0 {
			return n
		}
	}
	return wheelSlots - 1
}

// wakeAll wakes every waiting lane at once: a drain began, or `resume`.
func (w *wheel) wakeAll() {
	w.mu.Lock()
	var lanes []waiter
	for i := range w.slots {
		lanes = append(lanes, w.slots[i]...)
		w.slots[i] = nil
	}
	w.count = 0
	w.disarmLocked()
	w.mu.Unlock()
	w.wake(lanes)
}
