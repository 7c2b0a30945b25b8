package history

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
)

// resolver finds the sequences of bounds in one stream.
type resolver struct {
	conn  *nats.Conn
	one   nats.Consumer
	info  *jetstream.StreamInfo
	first int64 // sequence of the first message
	end   int64 // of the next message, when the plan was made
}

// sequence is where a bound lies; which of the two it is stands in errors.
func (r *resolver) sequence(ctx context.Context, which string, b *job.Bound) (int64, error) {
	switch {
	case b.Earliest:
		return r.first, nil
	case b.End:
		return r.end, nil
	case b.Committed:
		return r.committed(ctx)
	case b.Places != nil:
		at, _ := place(b, r.one.Stream)
		return r.within(which, at)
	case !b.Time.IsZero():
		return r.atTime(ctx, b.Time)
	}
	return r.within(which, b.At)
}

// within refuses sequences that do not exist: a job does not wait for messages.
func (r *resolver) within(which string, at int64) (int64, error) {
	switch {
	case at < 1:
		return 0, job.Impossible(fmt.Errorf("%s is sequence %d: sequences begin at 1; write earliest for the first message there is", which, at))
	case at > r.end:
		return 0, job.Impossible(fmt.Errorf("%s is sequence %d: stream %s ends with %d; write end for where it ends now", which, at, r.one.Stream, r.end-1))
	}
	return at, nil
}

// committed is the first message that the live consumer has not acknowledged, or
// that lies above one.
func (r *resolver) committed(ctx context.Context) (int64, error) {
	info, err := askConsumer(ctx, r.conn, r.one)
	if nats.Missing(err) {
		return 0, job.Impossible(fmt.Errorf("stream %s has no consumer %s, so nothing is committed: write a time, a sequence, earliest or end", r.one.Stream, r.one.Durable))
	}
	if err != nil {
		return 0, err
	}
	return min(int64(info.AckFloor.Stream)+1, r.end), nil
}

// atTime is the first message at or after a time; the end if there is none. The
// server knows where a consumer that starts there would begin.
func (r *resolver) atTime(ctx context.Context, t time.Time) (int64, error) {
	config := beside("plan", idleFor(10*time.Second, r.info))
	config.DeliverPolicy = jetstream.DeliverByStartTimePolicy
	config.OptStartTime = &t
	info, err := createConsumer(ctx, r.conn, r.one.Stream, config)
	if err != nil {
		return 0, err
	}
	deleteConsumer(r.conn, r.one.Stream, info.Name)
	return min(max(int64(info.Delivered.Stream)+1, r.first), r.end), nil
}

// goneBefore says whether messages at or after a bound in time may have been
// deleted before the first one that is there.
func (r *resolver) goneBefore(b *job.Bound) bool {
	st := &r.info.State
	switch {
	case b.Time.IsZero() || r.first <= 1:
		return false
	case st.Msgs == 0:
		return !st.LastTime.Before(b.Time)
	}
	return st.FirstTime.After(b.Time)
}
