package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// pump reads the slice as Fetch asks for it, until it has ended, cannot be read any
// further, or ctx ends. It owns the Reader.
func (s *strand) pump(ctx context.Context) {
	again := newBackoff()
	var r Reader
	defer func() {
		if r != nil {
			_ = r.Close() // nothing was written
		}
	}()
	for {
		want, urgent, ok := s.awaitDemand(ctx)
		if !ok {
			return
		}
		err := s.step(ctx, &r, want, urgent)
		switch {
		case err == nil:
			again.Reset()
			s.recovered()
			continue
		case ctx.Err() != nil || s.ends(err):
			return
		}
		s.troubled(err)
		if !pause(ctx, again.NextBackOff()) {
			return
		}
	}
}

// newBackoff grows from 100 ms to 10 s, jittered, for ever.
func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// awaitDemand waits until something may be read, and says how many bytes. urgent: a
// Fetch waits for it.
func (s *strand) awaitDemand(ctx context.Context) (bytes int64, urgent, ok bool) {
	for {
		s.mu.Lock()
		d, full := s.demand, len(s.in) > 0
		s.mu.Unlock()
		if (d.waiting || d.refill) && !full && ctx.Err() == nil {
			return max(1, min(d.bytes, readBytes)), d.waiting, true
		}
		select {
		case <-s.ask:
		case <-ctx.Done():
			return 0, false, false
		}
	}
}

// step takes bytes and reads once.
func (s *strand) step(ctx context.Context, r *Reader, want int64, urgent bool) error {
	if *r == nil {
		opened, err := s.src.cfg.Input.Open(ctx, &s.slice, s.mark.Next())
		if err != nil {
			return err
		}
		*r = opened
		s.opened(opened)
	}
	least := int64(0)
	if urgent {
		least = min(want, readLeast)
	}
	got, err := s.host.Take(ctx, least, want)
	if err != nil {
		return err
	}
	if !urgent && got < min(want, readLeast) { // ahead of time, only what is there in plenty
		s.host.Give(got)
		s.mu.Lock()
		s.demand.refill = false
		s.mu.Unlock()
		return nil
	}
	s.mu.Lock()
	s.asked = got
	s.mu.Unlock()
	b, err := (*r).Read(ctx, got)
	wrong := s.admit(&b, err, got, (*r).Seed())
	switch {
	case wrong != nil:
		return wrong
	case err != nil:
		return err
	case s.slice.To >= 0 && s.mark.Next() == s.slice.To:
		return io.EOF
	}
	return nil
}

func (s *strand) opened(r Reader) {
	c, ok := r.(Consumer)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.consumer = c
}

// ends says whether an error is the last one, and lets Fetch and the Source know.
func (s *strand) ends(err error) bool {
	next := s.mark.Next()
	var changed *ChangedError
	var wrong *defectError
	switch {
	case errors.As(err, &changed), errors.As(err, &wrong):
		s.src.fail(err)
		return true
	case IsUnreadable(err):
		s.log.Error("the rest of the slice cannot be read; the job goes on without it", zap.Int64("position", next), zap.Error(err))
		s.finish(&Failure{Slice: shortened(s.slice.Name), At: next, Why: shortened(err.Error())})
		return true
	case !errors.Is(err, io.EOF):
		return false
	case s.slice.To >= 0 && next != s.slice.To:
		s.src.fail(s.defect("it ended at %d instead of %d", next, s.slice.To))
		return true
	}
	s.finish(nil)
	return true
}

func (s *strand) finish(f *Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure, s.over = f, io.EOF
	poke(s.wake)
}

// troubled shows why nothing comes, and logs it once.
func (s *strand) troubled(err error) {
	state := queue.StateStalled
	if IsAway(err) {
		state = queue.StateBrokerAway
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble.state == "" {
		s.log.Warn("reading fails and is tried again", zap.Error(err))
	}
	s.trouble = trouble{state, err.Error()}
}

func (s *strand) recovered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trouble.state != "" {
		s.log.Info("reading works again")
	}
	s.trouble = trouble{}
}

// defectError is an error of the program that no retry mends.
type defectError struct{ text string }

func (e *defectError) Error() string { return e.text }

func (s *strand) defect(format string, args ...any) error {
	return &defectError{fmt.Sprintf("this is a defect of the reader of %s, please report it: %s", s.slice.Name, fmt.Sprintf(format, args...))}
}
