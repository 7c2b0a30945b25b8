package worker

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	urgentRetry        = 100 * time.Millisecond // while the process stops
	misconfiguredRetry = 30 * time.Second
)

// batchBackoff is the wait of one failed batch, or of a failing Init. Its zero
// MaxElapsedTime is what keeps backoff/v4 from ending the retries after 15
// minutes in silence.
type batchBackoff struct {
	b    backoff.ExponentialBackOff
	dice *dice
}

func newBackoff(first, most time.Duration) *batchBackoff {
	bb := &batchBackoff{b: backoff.ExponentialBackOff{
		InitialInterval: first,
		Multiplier:      1.5,
		MaxInterval:     most,
		MaxElapsedTime:  0,
		Stop:            backoff.Stop,
		Clock:           backoff.SystemClock,
	}}
	bb.b.Reset()
	return bb
}

// next is the next wait, a half to three halves of what it grew to.
func (b *batchBackoff) next() time.Duration {
	d := b.b.NextBackOff()
	return d/2 + b.dice.upTo(d)
}

// dice is the chance in the waits of a worker's batches; nil: that of the process. Safe
// from any goroutine.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

// upTo is a duration from 0 to d.
func (x *dice) upTo(d time.Duration) time.Duration {
	if x == nil {
		return rand.N(d + 1)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Duration(x.r.Int64N(int64(d) + 1))
}

// dueLocked takes the failed batch whose time has come, the oldest first. While
// the process stops, waits shrink.
func (l *lane) dueLocked(now time.Time) *batch {
	if l.w.urgent.Load() {
		for _, b := range l.retry {
			if soon := now.Add(urgentRetry); b.nextTry.After(soon) {
				b.nextTry = soon
			}
		}
	}
	for i, b := range l.retry {
		if i > 0 && l.entry.strict.Load() {
			break // it waits for the one before it
		}
		if l.heldBackLocked(b) {
			continue
		}
		cuts := l.cutsLocked(b)
		if cuts || !b.nextTry.After(now) {
			l.retry = slices.Delete(l.retry, i, i+1)
			if cuts {
				return l.cutLocked(b, i, now)
			}
			l.probe = l.probe && !b.feeler
			return b
		}
	}
	return nil
}

func (l *lane) retryWaitLocked(now time.Time) time.Duration {
	wait := time.Hour
	for _, b := range l.retry {
		if !l.heldBackLocked(b) {
			wait = min(wait, b.nextTry.Sub(now))
		}
	}
	return wait
}

// retryLocked keeps a failed batch for another try after d; below zero: after its
// own backoff. It returns the wait.
func (l *lane) retryLocked(b *batch, d time.Duration) time.Duration {
	if d < 0 {
		if b.backoff == nil {
			b.backoff = newBackoff(l.version.RetryInitial, l.version.RetryMax)
			b.backoff.dice = l.w.dice
		}
		d = b.backoff.next()
	}
	b.nextTry = time.Now().Add(d)
	if l.entry.strict.Load() { // there is one in flight at a time: it comes before the others
		l.retry = slices.Insert(l.retry, 0, b)
	} else {
		l.retry = append(l.retry, b)
	}
	return d
}

// jitter spreads a wait by a fifth, so that lanes that failed together do not ask
// together.
func jitter(d time.Duration) time.Duration {
	return d*9/10 + rand.N(d/5+1)
}
