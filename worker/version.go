package worker

import "time"

// outdated says that a reload has changed the lane's entry. It is for the token's
// holder, and under the lock.
func (l *lane) outdated() bool { return l.version != l.entry.newest.Load() }

// adopt has the lane go on with the newest version of its entry: the old instance
// is stopped once its calls have returned, the next one begins after that, and what
// waits is tried at once, because what it waited for may have been mended. False:
// the token went elsewhere.
func (l *lane) adopt() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
		l.scheduled = false
		return false
	case len(l.flights) > 0:
		l.scheduled = false // the end of the last flight schedules it again
		return false
	}
	old := l.inst
	l.version = l.entry.newest.Load()
	l.inst = nil
	l.opening, l.notBefore, l.deaf = nil, 0, false
	l.askAgain.Store(0)
	l.known = nil
	for _, b := range l.retry {
		b.nextTry, b.backoff, b.doubt = time.Time{}, nil, doubt{} // what failed may have been mended
	}
	if old == nil || !old.left() { // none, or an abandoned call stops it when it returns
		return true
	}
	l.before = old
	l.w.runners.spawnPlain(func() {
		old.stop(false, farewell)
		l.w.runners.schedule(l.rouse(nil, false))
	})
	return true
}

// rouse ends the lane's wait on the wheel. start: it also runs if it has nothing to
// do. What the caller has to schedule is appended to run.
func (l *lane) rouse(run []*lane, start bool) []*lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.gone:
		return run
	case l.waiting:
		l.waiting = false
	case start && !l.scheduled:
		l.scheduled = true
	default:
		return run
	}
	return append(run, l)
}
