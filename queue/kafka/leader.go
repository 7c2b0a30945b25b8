package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// leader reads everything that one broker leads: one loop, one request at a time,
// naming each strand that wants messages. Leaving a strand out is its pause.
type leader struct {
	src  *Source
	wake chan struct{} // a strand wants messages, came or went

	mu          sync.Mutex
	addr        string
	strands     []*strand // those served last are last, so that the byte limit starves nobody
	takingSince time.Time // since when the loop waits for bytes of the budget; zero: it does not
	throttled   time.Time // until when the broker wants no request

	// Of the loop.
	notBefore time.Time // the broker throttles, or did not answer
	answered  time.Time // the end of the last request
	failures  int
	sizer     sizer
	asking    []*strand
	known     []*strand
	request   wire.FetchRequest
	unpacker  unpacker
}

// How long a broker may wait for messages before it answers.
const (
	patient   = 500 * time.Millisecond // every strand is named or has been paused for a while
	impatient = 20 * time.Millisecond  // one that is left out may want messages in a moment
	paused    = time.Second            // a strand that did not fetch for this long is paused for a while
)

const (
	// How long the loop leaves a strand alone whose span is used up, at first:
	// settlements do not wake it, so that each costs one atomic operation and no more.
	starvedAgain = 5 * time.Millisecond

	// How long while it is not sure that what we were given is still ours.
	doubtAgain = 50 * time.Millisecond
)

func (l *leader) add(s *strand) {
	l.mu.Lock()
	if !slices.Contains(l.strands, s) {
		l.strands = append(l.strands, s)
	}
	l.mu.Unlock()
	poke(l.wake)
}

func (l *leader) remove(s *strand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.strands, s); i >= 0 {
		l.strands = slices.Delete(l.strands, i, i+1)
	}
}

func (l *leader) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// run fetches until ctx ends.
func (l *leader) run(ctx context.Context) {
	for {
		p := l.survey(time.Now())
		if p.wait != 0 {
			if !l.sleep(ctx, p.wait) {
				return
			}
			continue
		}
		l.round(ctx)
		if ctx.Err() != nil {
			return
		}
	}
}

// sleep waits until a strand wants something or d passed; below zero: no limit.
// It is false when ctx has ended.
func (l *leader) sleep(ctx context.Context, d time.Duration) bool {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-l.wake:
	case <-after:
	case <-ctx.Done():
		return false
	}
	return true
}

// why is what keeps the loop from asking; empty: nothing.
func (l *leader) why(now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.takingSince.IsZero() && now.Sub(l.takingSince) > time.Second:
		return fmt.Sprintf("waits for bytes of limits.in_flight since %v", now.Sub(l.takingSince).Truncate(time.Second))
	case l.throttled.After(now):
		return fmt.Sprintf("broker %s throttles us (quota) for another %v", l.addr, l.throttled.Sub(now).Truncate(time.Millisecond))
	}
	return ""
}

// poll is what the loop does next: wait, or ask for the strands in asking.
type poll struct {
	wait    time.Duration // 0: ask; below zero: until woken
	maxWait time.Duration
}

// survey looks at each strand. It decides nothing about bytes.
func (l *leader) survey(now time.Time) poll {
	l.mu.Lock()
	l.known = append(l.known[:0], l.strands...)
	l.mu.Unlock()
	l.asking = l.asking[:0]
	again := time.Duration(-1)
	all, hot, soon := true, false, false
	for _, s := range l.known {
		v := s.view(l, now)
		switch {
		case v.gone:
			l.remove(s)
		case v.asks:
			l.asking = append(l.asking, s)
			hot = hot || v.hot
		case v.again > 0:
			again = sooner(again, v.again)
		case v.active:
			all = false
			soon = soon || v.hot
		}
	}
	if len(l.asking) == 0 {
		return poll{wait: again}
	}
	if wait := l.notBefore.Sub(now); wait > 0 {
		return poll{wait: wait}
	}
	if hold := impatient - now.Sub(l.answered); !hot && soon && hold > 0 {
		return poll{wait: hold} // a busy strand shall not wait behind idle ones
	}
	if !all {
		return poll{maxWait: impatient}
	}
	if again < 0 {
		again = patient
	}
	return poll{maxWait: min(max(again, impatient), patient)}
}

func sooner(a, b time.Duration) time.Duration {
	if a < 0 {
		return b
	}
	return min(a, b)
}

// view is a strand as the survey sees it.
type view struct {
	gone   bool          // it has ended or is read from elsewhere
	asks   bool          // it wants messages, and they may be asked for
	active bool          // it does not, but has been fetched a moment ago
	hot    bool          // its last answer brought messages
	again  time.Duration // when to look again although nothing happens
}

func (s *strand) view(l *leader, now time.Time) view {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.leader != l {
		return view{gone: true}
	}
	if s.next < 0 || s.barredLocked() {
		return view{}
	}
	v := view{hot: s.hot, active: now.Sub(s.seen) < paused}
	if !s.demand.any() || s.asked != nil || s.taking {
		return v
	}
	if wait := s.trouble.until.Sub(now); wait > 0 {
		return view{again: wait}
	}
	if s.doubtful() {
		return view{again: doubtAgain}
	}
	if s.demand.waiting && len(s.in) > 0 {
		poke(s.wake) // doubt kept it from being handed out
		return v
	}
	if s.cursor.mark.Span() >= s.src.cfg.Span {
		if s.starved = now.Sub(s.moved) > paused; s.starved {
			return view{again: patient}
		}
		return view{again: starvedAgain}
	}
	if s.starved { // a pause like any other, but nobody comes back to Fetch behind it
		s.starved = false
		if s.resumeLocked(now); s.barredLocked() {
			return view{}
		}
	}
	v.asks = true
	return v
}

// round takes bytes, asks the broker once and shares out what it answers.
func (l *leader) round(ctx context.Context) {
	most := l.sizer.most(l.asking)
	l.noteTaking(time.Now())
	taken, err := l.src.host.Take(ctx, min(leastAsk, most), most)
	l.noteTaking(time.Time{})
	if err != nil {
		return // ctx has ended
	}
	p := l.survey(time.Now()) // waiting for bytes may have taken long
	if p.wait != 0 {
		l.src.host.Give(taken)
		return
	}
	used := l.fetch(ctx, p, taken)
	if used < taken {
		l.src.host.Give(taken - used)
	}
}

func (l *leader) noteTaking(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takingSince = since
}
