package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
)

// reader reads one slice. Its place is next and nothing else: a feed that is
// broken is replaced by one that begins there.
//
// That the stream is the one that was planned is confirmed when a feed has been
// made. A feed has a name that nobody else uses and ends with its stream, so it
// brings nothing of another one.
type reader struct {
	in    *Input
	slice job.Slice
	one   nats.Consumer
	seed  queue.OriginSeed
	sizer sizer
	next  int64

	feed  *feed
	first int64     // the stream's first sequence, at least
	short time.Time // since when the stream ends below the slice; zero: it does not
}

// Seed implements job.Reader.
func (r *reader) Seed() *queue.OriginSeed { return &r.seed }

// Close implements job.Reader.
func (r *reader) Close() error {
	r.drop()
	return nil
}

func (r *reader) drop() {
	if r.feed != nil {
		r.feed.close()
		r.feed = nil
	}
}

// feeds is how many feeds one Read tries before it tells of the trouble.
const feeds = 3

// Read implements job.Reader.
func (r *reader) Read(ctx context.Context, bytes int64) (job.Batch, error) {
	var why string
	for range feeds {
		if r.next >= r.slice.To {
			r.drop()
			return job.Batch{Next: r.next}, io.EOF
		}
		if err := r.ensure(ctx); err != nil {
			return job.Batch{Next: r.next}, err
		}
		at := r.next
		var b job.Batch
		var err error
		b, why, err = r.step(ctx, bytes)
		if err != nil {
			r.drop()
			return job.Batch{Next: r.next}, err
		}
		if r.next > at {
			return b, nil
		}
	}
	return job.Batch{Next: r.next}, r.trouble(fmt.Errorf("couldn't read %s at sequence %d: %s", r.slice.Name, r.next, why))
}

// trouble tells a server that is not there from what else may pass.
func (r *reader) trouble(err error) error {
	if r.in.conn.Line() == 0 || nats.Away(err) {
		return job.Away(err)
	}
	return err
}

var errNoConnection = errors.New("no connection to the server; reconnecting")

// ensure makes a feed where the reader is, unless it has one on this connection.
func (r *reader) ensure(ctx context.Context) error {
	line := r.in.conn.Line()
	if r.feed != nil && r.feed.line == line {
		return nil
	}
	r.drop()
	if line == 0 {
		return job.Away(fmt.Errorf("couldn't read %s: %w", r.slice.Name, errNoConnection))
	}
	info, err := r.look(ctx)
	if err != nil {
		return err
	}
	config := beside("replay", idleFor(r.in.opt.Idle, info))
	config.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	config.OptStartSeq = uint64(r.next)
	config.FilterSubjects = r.one.Subjects
	f, err := newFeed(ctx, r.in.conn, r.one.Stream, config)
	if err != nil {
		return r.asked(err)
	}
	if _, err := r.look(ctx); err != nil { // again: it may have been made on another stream meanwhile
		f.close()
		return err
	}
	r.feed = f
	return nil
}

// look asks for the stream and confirms that it is the one that was planned.
func (r *reader) look(ctx context.Context) (*jetstream.StreamInfo, error) {
	info, err := askStream(ctx, r.in.conn, r.one.Stream)
	if err != nil {
		return nil, r.asked(err)
	}
	if nats.StreamID(r.one.Stream, info.Created) != r.slice.Stamp {
		return nil, &job.ChangedError{Slice: r.slice.Name, Why: fmt.Sprintf("stream %s was deleted and made anew at %s",
			r.one.Stream, info.Created.UTC().Format(time.RFC3339Nano))}
	}
	r.first = max(r.first, first(&info.State))
	return info, nil
}

// asked is the error of a request as Read returns it.
func (r *reader) asked(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamNotFound {
		return &job.ChangedError{Slice: r.slice.Name, Why: "stream " + r.one.Stream + " was deleted"}
	}
	return r.trouble(err)
}

// step makes one request and takes what it brings. why says what went wrong where
// nothing moved and there is no error.
func (r *reader) step(ctx context.Context, bytes int64) (b job.Batch, why string, err error) {
	msgs, payload := r.sizer.split(bytes, r.slice.To-r.next)
	ms, end, why, err := r.feed.pull(ctx, msgs, payload)
	if err == nil && end == tooLarge && len(ms) == 0 {
		ms, end, why, err = r.pullLarge(ctx)
	}
	if err != nil {
		return b, "", fmt.Errorf("couldn't read %s: %w", r.slice.Name, err)
	}
	t := r.sort(ms)
	clear(ms) // the batch alone keeps the payloads alive
	if t.hole {
		end, why = broken, "a delivery was lost on its way"
	}
	if end == exhausted && len(t.batch.Messages) == 0 && t.batch.Next < r.slice.To {
		if err := r.confirmEnd(ctx); err != nil {
			return b, "", err
		}
		t.pass(r.slice.To)
	}
	if err := r.account(ctx, t); err != nil {
		return b, "", err
	}
	if end == broken {
		r.drop()
	}
	r.next = t.batch.Next
	return t.batch, why, nil
}

// pullLarge asks for one message of any size, one at a time for all slices.
func (r *reader) pullLarge(ctx context.Context) ([]*natsgo.Msg, ending, string, error) {
	select {
	case r.in.large <- struct{}{}:
	case <-ctx.Done():
		return nil, broken, "", context.Cause(ctx)
	}
	defer func() { <-r.in.large }()
	return r.feed.pull(ctx, 1, 0)
}
