package jobstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	// callTimeout bounds one request.
	callTimeout = 10 * time.Second

	// patience is how long something that may pass is tried again, if the caller's
	// context has no earlier end.
	patience = 30 * time.Second

	// portion is how many bytes are read at a time: a value and some more.
	portion = 2 * job.MaxValue
)

// log is one partition of the job's topic.
type log struct {
	wire.TopicPartition
	client *wire.Client
	book   *leaders.Book
	input  *history.Input
}

// newInput reads everything that was stored: nothing here is written in transactions.
func newInput(client *wire.Client, cfg *kafka.Config) *history.Input {
	all := *cfg
	all.Isolation = kafka.ReadUncommitted
	all.Rack = "" // the leader has the newest
	return history.New(client, &all, history.Options{})
}

// append stores records together, once: after an error they may be stored or not. It
// returns the offset of the first.
func (g *log) append(ctx context.Context, records ...wire.Record) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	b, err := g.book.Leader(ctx, g.TopicPartition)
	if err != nil {
		return -1, err
	}
	stored, err := g.client.Produce(ctx, b.Addr(), []wire.Batch{{TopicPartition: g.TopicPartition, Records: records}})
	if err == nil && stored[g.TopicPartition].Err != nil {
		err = &wire.Error{Op: "produce to " + g.String(), Broker: b.Addr(), Err: stored[g.TopicPartition].Err}
	}
	if err != nil {
		g.book.Doubt()
		return -1, fmt.Errorf("couldn't store in %s: %w", g, advised(err))
	}
	return stored[g.TopicPartition].Offset, nil
}

// end is the offset behind the last record.
func (g *log) end(ctx context.Context) (int64, error) { return g.offset(ctx, wire.Latest) }

func (g *log) offset(ctx context.Context, t int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	b, err := g.book.Leader(ctx, g.TopicPartition)
	if err != nil {
		return -1, err
	}
	got, err := g.client.ListOffsets(ctx, b.Addr(), false, []wire.OffsetAt{{TopicPartition: g.TopicPartition, Time: t}})
	if err == nil && got[g.TopicPartition].Err != nil {
		err = &wire.Error{Op: "list offsets of " + g.String(), Broker: b.Addr(), Err: got[g.TopicPartition].Err}
	}
	if err != nil {
		g.book.Doubt()
		return -1, fmt.Errorf("couldn't read %s: %w", g, advised(err))
	}
	return got[g.TopicPartition].Offset, nil
}

// read calls each for the records from an offset to another, in order. What is wrong
// and may pass is tried again: each record comes once.
func (g *log) read(ctx context.Context, from, to int64, each func(*queue.Message)) error {
	s := &job.Slice{Name: g.String(), From: from, To: to}
	return retried(ctx, func(ctx context.Context) error {
		r, err := g.input.Open(ctx, s, s.From)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		for {
			b, err := r.Read(ctx, portion)
			for i := range b.Messages {
				each(&b.Messages[i])
			}
			s.From = b.Next
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return err
			}
		}
	})
}

// retried tries until it succeeds, the error is one that does not pass, or time is up.
func retried(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	for {
		err := try(ctx)
		if err == nil || !passes(err) || sleep(ctx, pause.NextBackOff()) != nil {
			return err
		}
	}
}

// passes says that trying again may help.
func passes(err error) bool {
	var changed *job.ChangedError
	return !wire.IsPermanent(err) && !errors.As(err, &changed) && !job.IsUnreadable(err) && !errors.Is(err, wire.ErrClosed) && !errors.Is(err, job.ErrLost)
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

// advised adds what to do about an error.
func advised(err error) error {
	if advice := wire.Advice(err); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}
