package letterbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	// callTimeout bounds one request.
	callTimeout = 10 * time.Second

	// portion is how many bytes are taken from a partition at a time.
	portion = 1 << 20

	// missingFor is how long a topic has to be missing before it is: a broker that starts
	// may not know all of them.
	missingFor = time.Second
)

// read calls each for the messages of a span, in order and each once. It tries again
// what may pass; it gives up when it got no further for the box's patience.
func (b *box) read(ctx context.Context, in *history.Input, s *span, each func(*queue.Message) error) error {
	at := &job.Slice{Name: s.String(), Stamp: s.stamp, From: s.first, To: s.end}
	for at.From < at.To {
		before := at.From
		err := b.retried(ctx, func(ctx context.Context) error {
			err := readOn(ctx, in, at, each)
			if err != nil && at.From > before && passes(err) {
				return nil // it got further: patience begins anew
			}
			return err
		})
		if err != nil {
			return b.allowing(err, s.Topic)
		}
	}
	return nil
}

// readOn reads on from where a slice was left.
func readOn(ctx context.Context, in *history.Input, at *job.Slice, each func(*queue.Message) error) error {
	r, err := in.Open(ctx, at, at.From)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	for {
		batch, err := r.Read(ctx, portion)
		for i := range batch.Messages {
			at.From = batch.Messages[i].Position + 1
			if err := each(&batch.Messages[i]); err != nil {
				return &ownError{err}
			}
		}
		at.From = batch.Next
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case batch.Passed[job.PassedTooLarge] > 0:
			return &ownError{fmt.Errorf("couldn't read a message of %s before offset %d: it has more than %d bytes", at.Name, at.From, largest)}
		}
	}
}

// ownError is no broker's: it ends the reading, whatever it is.
type ownError struct{ error }

func (e *ownError) Unwrap() error { return e.error }

// retried tries until it succeeds, the error is one that does not pass, or patience ends.
func (b *box) retried(ctx context.Context, try func(context.Context) error) error {
	began := time.Now()
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	for {
		err := try(ctx)
		var own *ownError
		if errors.As(err, &own) {
			return own.error
		}
		most := b.patience
		if missing := (*queue.MissingError)(nil); errors.As(err, &missing) {
			most = min(most, missingFor)
		}
		if err == nil || !passes(err) || time.Since(began) > most || sleep(ctx, pause.NextBackOff()) != nil {
			return err
		}
	}
}

// passes says that trying again may help.
func passes(err error) bool {
	var changed *job.ChangedError
	var own *ownError
	return !wire.IsPermanent(err) && !errors.As(err, &changed) && !errors.As(err, &own) && !job.IsUnreadable(err) && !errors.Is(err, wire.ErrClosed)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
