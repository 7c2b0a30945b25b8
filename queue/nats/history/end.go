package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
)

// shortFor is how long a stream may end below a slice before we believe that it
// does: a new leader knows its last messages a moment later.
const shortFor = 10 * time.Second

// confirmEnd returns nil if the stream holds nothing for us in the rest of the
// slice. The consumer has said so already, but it may run on a server that is
// behind; the stream's leader is not.
func (r *reader) confirmEnd(ctx context.Context) error {
	filters := r.one.Subjects
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, subject := range filters {
		seq, err := r.following(ctx, subject)
		if err != nil {
			return err
		}
		if seq < r.slice.To {
			return fmt.Errorf("couldn't read %s: stream %s holds sequence %d, but its consumer has not brought it yet", r.slice.Name, r.one.Stream, seq)
		}
	}
	return r.confirmLength(ctx)
}

// following is the next message of a subject; the end of the slice if there is
// none.
func (r *reader) following(ctx context.Context, subject string) (int64, error) {
	var resp struct {
		Message struct {
			Sequence int64 `json:"seq"`
		} `json:"message"`
	}
	req := map[string]any{"seq": r.next, "next_by_subj": subject}
	err := r.in.conn.Ask(ctx, "STREAM.MSG.GET."+r.one.Stream, req, &resp)
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return r.slice.To, nil
	case err != nil:
		return 0, r.asked(fmt.Errorf("couldn't look for the next message of stream %s: %w", r.one.Stream, err))
	}
	return resp.Message.Sequence, nil
}

// confirmLength refuses a stream that has become shorter: its server has lost what
// was there, and new messages get the sequences that we would read.
func (r *reader) confirmLength(ctx context.Context) error {
	info, err := r.look(ctx)
	if err != nil {
		return err
	}
	end := int64(info.State.LastSeq) + 1
	if end >= r.slice.To {
		r.short = time.Time{}
		return nil
	}
	why := fmt.Sprintf("stream %s ends with sequence %d, but had %d: its server has lost data", r.one.Stream, end-1, r.slice.To-1)
	if r.short.IsZero() {
		r.short = time.Now()
	}
	if time.Since(r.short) < r.in.short {
		return fmt.Errorf("couldn't read %s: %s", r.slice.Name, why)
	}
	return &job.ChangedError{Slice: r.slice.Name, Why: why}
}
