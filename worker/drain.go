package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// finish ends a strand: what can end before the deadline does, the rest goes back.
func (s *strand) finish(ctx context.Context) {
	reason, deadline := queue.Stopping, time.Now()
	var lost <-chan struct{}
	var end *queue.End
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &end):
		reason, deadline, lost = end.Reason, end.Deadline, end.Lost
		if mutant.On(mutant.DrainLost) {
			lost = nil
		}
	case cause == nil: // io.EOF or a terminal error, with nothing left to wait for
		deadline = time.Now().Add(s.w.drain())
	}
	s.ending.Store(true)
	s.w.ending.Add(1)
	defer s.w.ending.Add(-1)
	s.w.wakeLanes() // waiting batches close
	failpoint.Hit(failpoint.DrainBegin)
	if reason != queue.Lost {
		s.setState(strandDraining, reason.String())
		t := time.NewTimer(time.Until(deadline))
		var look <-chan time.Time
		if reason == queue.Revoked { // others wait for this strand
			ticker := time.NewTicker(blockedEvery)
			defer ticker.Stop()
			look = ticker.C
		}
		s.awaitSettled(context.Background(), drain{deadline: t.C, look: look, lost: lost})
		t.Stop()
	}
	select {
	case <-lost: // also after the wait: nothing may be settled any more
		reason = queue.Lost
	default:
	}
	failpoint.Hit(failpoint.DrainRelease)
	s.releaseRest(reason)
}

// What a revoked strand holds is looked at so often; parts are blocked whose lane
// has failed or was not ready for so long.
const (
	blockedEvery = 100 * time.Millisecond
	blockedAfter = time.Second
)

// drain is what ends a wait for settlements early; nil: nothing does.
type drain struct {
	deadline <-chan time.Time
	look     <-chan time.Time // when to see whether anything could end yet
	lost     <-chan struct{}  // the strand is no longer ours
}

// awaitSettled waits until everything the strand handed out is settled, or ctx, by
// or Hurry ends the wait, or at a look nothing is left that could end.
func (s *strand) awaitSettled(ctx context.Context, by drain) {
	s.waiting.Store(true)
	defer s.waiting.Store(false)
	for s.held.Load() > s.stuck.Load() {
		select {
		case <-s.wake:
		case now := <-by.look:
			if !s.mayEnd(now) {
				return
			}
		case <-by.deadline:
			return
		case <-by.lost:
			return
		case <-s.w.hurry:
			return
		case <-ctx.Done():
			return
		}
	}
}

// mayEnd says whether any message could end soon.
func (s *strand) mayEnd(now time.Time) bool {
	for _, m := range s.msgs {
		if !m.done.Load() && m.mayEnd(now) {
			return true
		}
	}
	return false
}

// mayEnd says whether no part that is open is blocked.
func (m *message) mayEnd(now time.Time) bool {
	if m.parts == 0 || !m.hold() { // it never came to intake, or ends just now
		return m.parts > 0
	}
	defer m.drop(1)
	for i := range m.parts {
		if p := m.part(i); p.open() && p.blocked(now) {
			return false
		}
	}
	return true
}

func (m *message) part(i int) *part {
	if i == 0 {
		return &m.first
	}
	return m.more[i-1]
}

// blocked says that a part was never offered, or that its lane does not move.
func (p *part) blocked(now time.Time) bool {
	if p.lane == nil {
		return !p.counted
	}
	p.lane.mu.Lock()
	defer p.lane.mu.Unlock()
	switch p.lane.state {
	case unready, backingOff, misconfigured, wedged, holding, paused:
		return now.Sub(p.lane.since) >= blockedAfter
	}
	return false
}

// releaseRest gives back what has not ended. A Flush that returns later changes
// only the counter `late`.
func (s *strand) releaseRest(reason queue.Reason) {
	lanes := map[*lane]struct{}{}
	n := 0
	for _, m := range s.msgs {
		if m.done.Load() {
			continue
		}
		if reason == queue.Stopping && m.insideFlush() {
			s.w.unfinished.Store(true)
		}
		if m.settle((*message).giveBack) {
			n++
			s.source.givenBack.Add(1)
		}
		s.releaseParts(m, reason, lanes)
	}
	s.msgs = nil
	for l := range lanes {
		l.purge()
	}
	s.w.letters.purge()
	if s.w.parker != nil {
		s.w.parker.purge()
	}
	level := zap.DebugLevel // of hundreds of partitions nobody reads it
	if n > 0 {
		level = zap.InfoLevel
	}
	s.log.Log(level, "strand ended", zap.Stringer("reason", reason), zap.Int("messages_given_back", n))
}

func (s *strand) releaseParts(m *message, reason queue.Reason, lanes map[*lane]struct{}) {
	if m.parts == 0 { // never came to intake
		m.holds.Store(1)
		m.drop(1)
		return
	}
	if !m.hold() { // its last part ended meanwhile
		return
	}
	defer m.drop(1)
	for i := range m.parts {
		p := m.part(i)
		b := p.book()
		if p.lane != nil {
			lanes[p.lane] = struct{}{}
		}
		b.mu.Lock()
		ok := p.ended.CompareAndSwap(false, true)
		if ok && p.counted && !mutant.On(mutant.UncountRelease) {
			b.of(s.source.index).add(released, reason.String())
		}
		if ok {
			b.overLocked(p)
		}
		b.mu.Unlock()
		if ok {
			m.open.Add(-1)
			m.drop(1)
		}
	}
}

// insideFlush says whether a Flush reads the message, an abandoned one included:
// its result is not known.
func (m *message) insideFlush() bool { return m.holds.Load() > m.open.Load()+m.puts.Load() }

// stopLanes stops every instance, side by side, in bounded time however many hang.
// Flush calls that still run have lost their context.
func (w *Worker) stopLanes() {
	deadline := time.Now().Add(2 * otherLimit)
	var all sync.WaitGroup
	room := make(chan struct{}, 64)
	for _, l := range w.laneList() {
		l.mu.Lock()
		l.gone = true
		l.renew.Store(true) // whoever runs it looks, before another call
		inst, c := l.inst, l.call
		l.mu.Unlock()
		if inst == nil {
			continue
		}
		all.Add(1)
		room <- struct{}{}
		go func() {
			defer all.Done()
			defer w.crash()
			patience := min(otherLimit, time.Until(deadline))
			if c.await(patience) && l.unused(inst) {
				inst.stop(true, patience)
			}
			<-room
		}()
	}
	all.Wait()
}

// unused says that a lane which is gone was the last to use its instance; else an
// abandoned call stops it, if it ever returns.
func (l *lane) unused(inst *instance) bool {
	l.mu.Lock() // not while a call is being abandoned
	defer l.mu.Unlock()
	return !inst.spent.Load() || inst.left()
}
