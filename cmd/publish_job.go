package cmd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// publication puts parcels into a queue: one goroutine reads, packs and paces,
// the other puts what has come meanwhile in one go.
type publication struct {
	sink  queue.Sink
	pack  packer
	key   protocol.Key // its parts win over those of the input
	rate  rate
	count int64 // 0: all
	show  *progress
}

// packed is the messages of one parcel.
type packed struct {
	messages []queue.Message
	from     string
	err      error // ends the publication once all before it is stored
}

func (j *publication) run(ctx context.Context, parcels func(context.Context) iter.Seq2[parcel, error]) error {
	g, ctx := errgroup.WithContext(ctx)
	out := make(chan packed, 64)
	g.Go(func() error {
		defer close(out)
		j.read(ctx, parcels(ctx), out)
		return nil
	})
	g.Go(func() error { return j.put(context.WithoutCancel(ctx), out) })
	return g.Wait()
}

func (j *publication) read(ctx context.Context, parcels iter.Seq2[parcel, error], out chan<- packed) {
	send := func(p packed) bool {
		select {
		case out <- p:
			return p.err == nil
		case <-ctx.Done():
			return false
		}
	}
	due, left := time.Now(), j.count
	for p, err := range parcels {
		if err != nil {
			send(packed{err: err})
			return
		}
		p.key = withFlags(p.key, j.key)
		err := checkKey(p.key, p.from)
		var ms []queue.Message
		if err == nil {
			ms, err = j.pack.pack(&p)
		}
		if !waitUntil(ctx, due) || !send(packed{messages: ms, from: p.from, err: err}) {
			return
		}
		due = later(due, time.Now()).Add(j.rate.per(bytesOf(ms)))
		if left--; left == 0 {
			return
		}
	}
}

func withFlags(key, flags protocol.Key) protocol.Key {
	for _, part := range []struct{ dst, flag *string }{
		{&key.Project, &flags.Project}, {&key.Logstore, &flags.Logstore}, {&key.Config, &flags.Config},
	} {
		if *part.flag != "" {
			*part.dst = *part.flag
		}
	}
	return key
}

func bytesOf(ms []queue.Message) int {
	n := 0
	for i := range ms {
		n += len(ms[i].Value)
	}
	return n
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func waitUntil(ctx context.Context, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

const (
	putMessages = 256
	putBytes    = 4 << 20
)

// put ends when out is closed, or at the first message that was not stored. ctx
// is not that of the interrupt: what was read is stored.
func (j *publication) put(ctx context.Context, out <-chan packed) error {
	for first := range out {
		batch, bytes, stop := []packed{first}, bytesOf(first.messages), first.err
	more:
		for stop == nil && len(batch) < putMessages && bytes < putBytes {
			select {
			case p, open := <-out:
				if !open {
					break more
				}
				batch, bytes, stop = append(batch, p), bytes+bytesOf(p.messages), p.err
			default:
				break more
			}
		}
		if err := j.store(ctx, batch); err != nil {
			return err
		}
		if stop != nil {
			return stop
		}
	}
	return nil
}

func (j *publication) store(ctx context.Context, batch []packed) error {
	var ms []queue.Message
	for i := range batch {
		ms = append(ms, batch[i].messages...)
	}
	if len(ms) == 0 {
		return nil
	}
	errs := j.sink.Put(ctx, ms)
	for i := range batch {
		n := len(batch[i].messages)
		if errs != nil {
			if err := errors.Join(errs[:n]...); err != nil {
				return unavailable(fmt.Errorf("%s: couldn't store it in %s: %w", batch[i].from, j.sink.Describe(), err))
			}
			errs = errs[n:]
		}
		if n > 0 {
			j.show.add(1, bytesOf(batch[i].messages))
		}
	}
	return nil
}
