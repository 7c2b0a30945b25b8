package worker

import (
	"sync"
	"time"
)

// limiter bounds what the lanes of one entry flush together: two buckets that hold a
// second's worth. A batch is let through when neither is empty and may overdraw them,
// so one that is larger than a second's worth passes, and what follows waits for it.
type limiter struct {
	mu            sync.Mutex
	groups, bytes float64 // what may be flushed at once
	at            time.Time
}

// wait is how long nothing may be flushed.
func (l *limiter) wait(r Rate, now time.Time) time.Duration {
	if r == (Rate{}) {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fillLocked(r, now)
	return max(untilPositive(l.groups, float64(r.Groups)), untilPositive(l.bytes, float64(r.Bytes)))
}

// spend takes what a batch has; negative: it was not flushed after all.
func (l *limiter) spend(r Rate, groups int, bytes int64) {
	if r == (Rate{}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups -= float64(groups)
	l.bytes -= float64(bytes)
}

func (l *limiter) fillLocked(r Rate, now time.Time) {
	passed := now.Sub(l.at).Seconds()
	if l.at.IsZero() {
		passed = 1
	}
	if passed <= 0 {
		return
	}
	l.at = now
	l.groups = min(l.groups+passed*float64(r.Groups), float64(r.Groups))
	l.bytes = min(l.bytes+passed*float64(r.Bytes), float64(r.Bytes))
}

// untilPositive is when a bucket holds something; a rate of zero bounds nothing.
func untilPositive(has, rate float64) time.Duration {
	if rate <= 0 || has > 0 {
		return 0
	}
	return time.Duration((1 - has) / rate * float64(time.Second))
}
