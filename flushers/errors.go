package flushers

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

// Permanent says that this data can never be flushed (a 400, a mapping that does
// not fit). Its parts become dead letters. Never use it for a destination that
// is down or for credentials: see Misconfigured.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &classified{class: ClassPermanent, err: err}
}

// Misconfigured says that any data would fail (401, 403, unknown table, TLS,
// quota, schema). The lane blocks and tries again every 30 s; nothing is
// dead-lettered.
func Misconfigured(err error) error {
	if err == nil {
		return nil
	}
	return &classified{class: ClassMisconfigured, err: err}
}

// RetryAfter says when to try again. Values below zero count as zero, values
// above ten minutes as ten minutes.
func RetryAfter(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &classified{class: ClassRetryAfter, err: err, after: min(max(after, 0), maxRetryAfter)}
}

const maxRetryAfter = 10 * time.Minute

// TooLarge says that the batch, not its data, is too big (a 413). The worker
// halves it; a single group that is too large becomes a dead letter.
func TooLarge(err error) error {
	if err == nil {
		return nil
	}
	return &classified{class: ClassTooLarge, err: err}
}

// PartialError says which groups of a batch failed, by index, and how. The others
// are durable. Only the failed ones are tried again, or dead-lettered if their
// error is Permanent.
type PartialError struct{ Failed map[int]error }

func (e *PartialError) Error() string {
	if e == nil {
		return "no group failed"
	}
	idx := make([]int, 0, len(e.Failed))
	for i := range e.Failed {
		idx = append(idx, i)
	}
	sort.Ints(idx)
	var b strings.Builder
	fmt.Fprintf(&b, "%d groups failed", len(idx))
	for n, i := range idx {
		if n == 3 {
			b.WriteString("; ...")
			break
		}
		why := e.Failed[i]
		if nested := (*PartialError)(nil); errors.As(why, &nested) { // it may hold itself
			why = fmt.Errorf("a partial error of its own, of %d groups", nested.len())
		}
		fmt.Fprintf(&b, "; group %d: %v", i, why)
	}
	return b.String()
}

func (e *PartialError) len() int {
	if e == nil {
		return 0
	}
	return len(e.Failed)
}

// Class is what an error tells the worker to do next.
type Class int

// The classes, as metric labels and in status.
const (
	ClassNone Class = iota
	ClassRetry
	ClassRetryAfter
	ClassPermanent
	ClassMisconfigured
	ClassTooLarge
	ClassPartial
	ClassTimeout
	ClassPanic
)

var classNames = [...]string{
	"none", "retry", "retry_after", "permanent", "misconfigured", "too_large", "partial", "timeout", "panic",
}

func (c Class) String() string { return classNames[c] }

// Classify finds the class of an error, through any wrapping. The duration is
// that of RetryAfter, zero otherwise.
func Classify(err error) (Class, time.Duration) {
	if err == nil {
		return ClassNone, 0
	}
	var c *classified
	if errors.As(err, &c) {
		return c.class, c.after
	}
	var p *PartialError
	if errors.As(err, &p) {
		return ClassPartial, 0
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ClassTimeout, 0
	}
	return ClassRetry, 0
}

type classified struct {
	class Class
	after time.Duration
	err   error
}

func (e *classified) Error() string { return e.err.Error() }
func (e *classified) Unwrap() error { return e.err }
