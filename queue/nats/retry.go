package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// permanentError is one that trying again does not mend.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func permanent(err error) error { return permanentError{err} }

// Refused says of an error of Connect or Refusal that somebody has to mend something:
// credentials, certificates, a server without JetStream.
func Refused(err error) bool {
	var final permanentError
	return errors.As(err, &final)
}

// retry calls try until it succeeds, fails for good or ctx ends; the last error
// of try then says why. failed hears of each failure that is followed by another
// try.
func retry(ctx context.Context, try func() error, failed func(error)) error {
	began := time.Now()
	for n := 0; ; n++ {
		err := try()
		if err == nil {
			return nil
		}
		var final permanentError
		if errors.As(err, &final) {
			return final
		}
		if ctx.Err() == nil {
			failed(err)
		}
		if !sleep(ctx, backoff(n)) {
			return &gaveUp{after: time.Since(began), cause: context.Cause(ctx), err: err}
		}
	}
}

// gaveUp is the last error of something that was tried until its context ended.
type gaveUp struct {
	after      time.Duration
	cause, err error
}

func (e *gaveUp) Error() string {
	return fmt.Sprintf("gave up after %v: %v", e.after.Round(100*time.Millisecond), e.err)
}

func (e *gaveUp) Unwrap() []error { return []error{e.cause, e.err} }

// backoff grows from 100 ms to 2 s, jittered.
func backoff(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n, 5), 2*time.Second)
	return d/2 + rand.N(d/2)
}

// sleep says whether d passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
