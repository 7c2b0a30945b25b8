package elasticsearch

import (
	"strconv"
	"time"

	"github.com/flushline/flushline/flushers"
)

// verdict is how a group failed, if it did: as the worst of its logs. A group is one
// thing to the worker, so that its end must not come while a log of it may still be
// stored: what is about the data counts least.
type verdict struct {
	worst severity
	err   error
}

type severity int

const (
	stored  severity = iota
	ofData           // Permanent, TooLarge: it is a dead letter
	again            // a plain error
	later            // RetryAfter
	blocked          // Misconfigured
)

func severityOf(err error) severity {
	class, _ := flushers.Classify(err)
	switch class {
	case flushers.ClassNone:
		return stored
	case flushers.ClassPermanent, flushers.ClassTooLarge:
		return ofData
	case flushers.ClassRetryAfter:
		return later
	case flushers.ClassMisconfigured:
		return blocked
	}
	return again
}

// add notes a failure of one log, or of all.
func (v *verdict) add(err error) {
	if s := severityOf(err); s > v.worst {
		v.worst, v.err = s, err
	}
}

// after is how long to wait when the server has more to do than it can: half a second,
// growing by half with each attempt to half a minute.
func after(attempt int) time.Duration {
	wait := 500 * time.Millisecond
	for range min(attempt-1, 20) {
		wait += wait / 2
	}
	return min(wait, 30*time.Second)
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
