package letterbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

// confirmEach is how long the stream is taken for the same without asking.
const confirmEach = time.Second

// Resolve implements queue.LetterBox. Letters of a stream that was deleted and made anew
// since are refused, before any is deleted that lies in their place.
func (b *Box) Resolve(ctx context.Context, ls []*queue.Letter) error {
	k := &keeper{box: b}
	info, err := k.confirmed(ctx)
	if err != nil {
		return err
	}
	ready, arriving := queue.SplitArriving(ls, b.now(info))
	for _, l := range ready {
		if ctx.Err() != nil {
			return fmt.Errorf("couldn't resolve the letter %s: %w", l.Name(), context.Cause(ctx))
		}
		err := b.same(ctx, l, info)
		if err == nil {
			err = b.resolve(ctx, k, l)
		}
		if err != nil {
			return fmt.Errorf("couldn't resolve the letter %s: %w", l.Name(), err)
		}
	}
	return arriving
}

// resolve deletes a letter's messages, the one that names it last. Of one that has several
// all go, also if ctx ends meanwhile.
func (b *Box) resolve(ctx context.Context, k *keeper, l *queue.Letter) error {
	if len(l.Places) > 1 {
		ctx = context.WithoutCancel(ctx) // bounded by b.wait for each
	}
	for i := len(l.Places) - 1; i >= 0; i-- {
		if err := b.remove(ctx, k, l.Places[i]); err != nil {
			return err
		}
		if i > 0 {
			failpoint.Hit(failpoint.ChunkRemoved)
		}
	}
	return nil
}

// remove deletes one message of a stream that is known to be the same.
func (b *Box) remove(ctx context.Context, k *keeper, p queue.Place) error {
	return b.persist(ctx, nats.Away, func() (bool, error) {
		if _, err := k.confirmed(ctx); err != nil {
			return false, err
		}
		return false, b.conn.Remove(ctx, b.stream, p.Position)
	})
}

// keeper remembers when, and on which connection, the stream was seen to be the one that
// was read.
type keeper struct {
	box  *Box
	info *jetstream.StreamInfo
	at   time.Time
	line int64
}

// confirmed fails if the stream is another one.
func (k *keeper) confirmed(ctx context.Context) (*jetstream.StreamInfo, error) {
	b, line := k.box, k.box.conn.Line()
	if k.info != nil && line == k.line && time.Since(k.at) < confirmEach {
		return k.info, nil
	}
	at := time.Now()
	info, err := b.look(ctx)
	if err != nil {
		return nil, err
	}
	if b.created.IsZero() {
		b.created = info.Created
	}
	if !info.Created.Equal(b.created) {
		return nil, fmt.Errorf("%s of %s: %w", b.Describe(), b.created.UTC().Format(time.RFC3339Nano), errAnew)
	}
	k.info, k.at, k.line = info, at, line
	return info, nil
}

var errAnew = errors.New("the stream was deleted and made anew since, and another letter may lie in that place: read the letters again")

// same fails for a letter that lay in an earlier stream of that name, which another box
// has read. One that is older than its stream may also be of a server whose clock was set
// back; it is looked at.
func (b *Box) same(ctx context.Context, l *queue.Letter, info *jetstream.StreamInfo) error {
	for _, p := range l.Places {
		if p.Part != b.stream {
			return fmt.Errorf("it does not lie in %s", b.Describe())
		}
	}
	if !l.Time.Before(info.Created) {
		return nil
	}
	var resp struct {
		Message struct {
			Time time.Time `json:"time"`
		} `json:"message"`
	}
	err := b.persist(ctx, nats.Away, func() (bool, error) {
		return false, b.conn.Ask(ctx, "STREAM.MSG.GET."+b.stream, map[string]any{"seq": l.Places[0].Position}, &resp)
	})
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil
	case err != nil:
		return err
	case !resp.Message.Time.Equal(l.Time):
		return errAnew
	}
	return nil
}
