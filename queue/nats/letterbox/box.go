package letterbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/history"
)

const (
	readBytes = 2 << 20          // held while letters are visited, beside what is not whole yet
	patience  = 20 * time.Second // for a server that is away, since it last brought something
	again     = 200 * time.Millisecond
)

// Box is the dead letter stream of a consumer: a queue.LetterBox. A Place is a sequence
// of it. While the server is away it tries again for 20 seconds.
type Box struct {
	conn    *nats.Conn
	stream  string
	created time.Time // of the stream that was read; zero: none was
	wait    time.Duration
	now     func(*jetstream.StreamInfo) time.Time
}

// New makes the box, whose stream may be missing: nothing was set up then. It asks
// nothing. Close closes conn.
func New(conn *nats.Conn, one nats.Consumer) *Box {
	return &Box{
		conn: conn, stream: nats.DeadLetterStream(one), wait: patience,
		now: func(info *jetstream.StreamInfo) time.Time { return info.TimeStamp },
	}
}

// Describe implements queue.LetterBox.
func (b *Box) Describe() string { return "stream " + b.stream }

// Close implements queue.LetterBox.
func (b *Box) Close() error {
	b.conn.Close()
	return nil
}

// look asks for the stream.
func (b *Box) look(ctx context.Context) (*jetstream.StreamInfo, error) {
	info := new(jetstream.StreamInfo)
	err := b.persist(ctx, nats.Away, func() (bool, error) {
		return false, b.conn.Ask(ctx, "STREAM.INFO."+b.stream, nil, info)
	})
	switch {
	case nats.Missing(err):
		return nil, &queue.MissingError{What: "stream", Name: b.stream}
	case err != nil:
		return nil, fmt.Errorf("couldn't read the dead letter stream %s: %w", b.stream, err)
	}
	return info, nil
}

// persist calls try until it is done, as long as what it says is that the server is away.
// try returns whether something came.
func (b *Box) persist(ctx context.Context, away func(error) bool, try func() (came bool, err error)) error {
	for since := time.Now(); ; {
		came, err := try()
		if came {
			since = time.Now()
		}
		if err == nil || !away(err) || time.Since(since) > b.wait {
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Letters implements queue.LetterBox.
func (b *Box) Letters(ctx context.Context, visit func(*queue.Letter) error) error {
	info, err := b.look(ctx)
	if err != nil {
		return err
	}
	b.created = info.Created
	if info.State.Msgs == 0 {
		return nil
	}
	input := history.NewInput(b.conn, &nats.Config{Stream: b.stream}, history.Options{})
	all := &job.Slice{
		Name: b.stream, From: int64(info.State.FirstSeq), To: int64(info.State.LastSeq) + 1,
		Stamp: nats.StreamID(b.stream, info.Created),
	}
	r, err := input.Open(ctx, all, all.From)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // what it leaves the server removes
	j := &queue.LetterJoiner{Part: b.stream}
	if err := b.read(ctx, r, j, visit); err != nil {
		return err
	}
	for _, l := range j.Rest() {
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}

// read visits what is whole.
func (b *Box) read(ctx context.Context, r job.Reader, j *queue.LetterJoiner, visit func(*queue.Letter) error) error {
	for {
		var batch job.Batch
		err := b.persist(ctx, job.IsAway, func() (came bool, err error) {
			batch, err = r.Read(ctx, readBytes)
			return len(batch.Messages) > 0, err
		})
		var changed *job.ChangedError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &changed):
			return fmt.Errorf("couldn't read all dead letters: %s: read them again", changed.Why)
		case err != nil:
			return fmt.Errorf("couldn't read all dead letters: %w", err)
		}
		for i := range batch.Messages {
			m := batch.Messages[i]
			batch.Messages[i] = queue.Message{} // the letter alone keeps it alive
			nats.AsPut(b.stream, &m)
			if l := j.Add(m); l != nil {
				if err := visit(l); err != nil {
					return err
				}
			}
		}
	}
}

// Free implements queue.LetterBox. A letter's space is free once it is resolved.
func (b *Box) Free(ctx context.Context) (string, error) {
	_, err := b.look(ctx)
	return "", err
}
