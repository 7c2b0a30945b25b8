package worker

import (
	"time"

	"github.com/flushline/flushline/flushers"
)

const (
	notReady    = "IsReady is false"
	readyFirst  = 100 * time.Millisecond
	readyMost   = 500 * time.Millisecond
	readyUrgent = 10 * time.Millisecond
)

// ready asks IsReady before a Flush; unless it is true, the bytes and the parts go
// back and the lane asks again later.
func (l *lane) ready(r *runner, b *batch) bool {
	ok, ours, asked, why := l.ask(r, b, l.looked)
	if ok || !ours { // an abandoned call has given the batch back
		return ok
	}
	l.notReady(b, asked, why)
	return false
}

// readyAgain asks a lane that was not ready, before anything is prepared: ten
// thousand unready lanes cost only this.
func (l *lane) readyAgain(r *runner) bool {
	ok, ours, asked, why := l.ask(r, nil, time.Now())
	if ok || !ours {
		return ok
	}
	l.notReady(nil, asked, why)
	return false
}

// notReady gives back the batch in hand, if there is one, and the token.
func (l *lane) notReady(b *batch, asked time.Time, why string) {
	if b != nil {
		l.giveWork(b)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b != nil {
		l.putBackLocked(b)
		if !l.idleLocked(l.ended) { // its parts may have been given back while it was asked
			l.unreadyLocked(asked, why)
		}
		return
	}
	if !l.emptyLocked() || len(l.retry) > 0 || !l.idleLocked(l.ended) {
		l.unreadyLocked(asked, why)
	}
}

// ask calls IsReady and says when. ours is false if the call was abandoned and the
// token is gone.
func (l *lane) ask(r *runner, b *batch, now time.Time) (ok, ours bool, asked time.Time, why string) {
	c, f := l.call, l.inst.f // from begin on the lane may go on without us
	c.inst, c.batch = l.inst, b
	began := c.begin(r, callIsReady, now)
	ok, v := l.isReady(f)
	return l.answered(r, c, began, ok, v)
}

// answered takes what IsReady said.
func (l *lane) answered(r *runner, c *call, began time.Time, ok bool, v *verdict) (yes, ours bool, asked time.Time, why string) {
	if !c.end(r) {
		l.returned(c)
		return false, false, began, ""
	}
	c.batch = nil
	if ok && !r.shared() {
		ok = time.Since(began) < readySlow
	}
	if v != nil {
		l.entry.errors[v.class].Add(1)
		l.speak(v, time.Duration(l.askAgain.Load()))
		return false, true, began, "IsReady: " + v.text
	}
	return ok, true, began, notReady
}

// unreadyLocked has the lane asked again later.
func (l *lane) unreadyLocked(asked time.Time, why string) {
	if l.gaveUpLocked(nil, why, false) {
		l.idleLocked(asked)
		return
	}
	again := min(max(time.Duration(l.askAgain.Load())*3/2, readyFirst), readyMost)
	l.askAgain.Store(int64(again))
	wait := jitter(again)
	if l.w.urgent.Load() {
		wait = readyUrgent
	}
	l.waitFromLocked(asked, unready, why, wait)
}

func (l *lane) isReady(f flushers.Flusher) (ready bool, v *verdict) {
	defer contain(callIsReady, &v)
	return f.IsReady(l.key.Project, l.key.Logstore, l.hash), nil
}
