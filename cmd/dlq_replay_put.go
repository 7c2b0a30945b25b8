package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// wayBack is the queue that letters came from.
type wayBack interface {
	// place says where a letter is put back, and completes its message for it. An error is
	// about this letter alone.
	place(ctx context.Context, l *queue.Letter, f *queue.Facts, m *queue.Message) (fitting, error)
	close()
}

// fitting is a sink that knows what it would have to change to store it.
type fitting interface {
	queue.Sink
	Fits(m *queue.Message) bool
}

// resent is a letter on its way back.
type resent struct {
	letter  *queue.Letter
	message queue.Message
	sink    fitting
}

// putBack replays letters into the queue that they came from: some at a time are put,
// and resolved once they are confirmed. A crash between the two delivers them twice, with
// the same ids.
type putBack struct {
	box  queue.LetterBox
	back wayBack
	rate rate
	dry  bool // nothing is put
	tell *replayTold

	batch []resent
	bytes int
	due   time.Time
}

// add takes the next letter. An error ends the replay.
func (r *putBack) add(ctx context.Context, l *queue.Letter, f *queue.Facts, m queue.Message) error {
	sink, err := r.back.place(ctx, l, f, &m)
	if err == nil && !sink.Fits(&m) {
		err = fmt.Errorf("%s does not take it in one piece, with %s bytes and its headers: raise the queue's limit, or use --direct, which does not need the queue", sink.Describe(), number(m.Size()))
	}
	if err != nil {
		r.tell.stays(l, err)
		return nil
	}
	if r.dry {
		r.tell.goes(l, &m, sink.Describe())
		return nil
	}
	r.batch = append(r.batch, resent{l, m, sink})
	r.bytes += int(m.Size())
	if messages, bytes := r.rate.atOnce(); len(r.batch) < messages && r.bytes < bytes {
		return nil
	}
	return r.flush(ctx)
}

// atOnce is what is put at once: a quarter of a second's worth of the rate, if there is
// one.
func (r *rate) atOnce() (messages, bytes int) {
	messages, bytes = putMessages, putBytes
	if r.groups > 0 {
		messages = max(1, min(messages, int(r.groups/4)))
	}
	if r.bytes > 0 {
		bytes = max(1, min(bytes, int(r.bytes/4)))
	}
	return messages, bytes
}

// flush puts back what was added and resolves what was confirmed. What has begun ends
// although ctx does.
func (r *putBack) flush(ctx context.Context) error {
	if len(r.batch) == 0 || !waitUntil(ctx, r.due) {
		return ctx.Err()
	}
	batch := r.batch
	r.batch, r.bytes = nil, 0
	r.due = later(r.due, time.Now())
	for i := range batch {
		r.due = r.due.Add(r.rate.per(int(batch[i].message.Size())))
	}
	ctx = context.WithoutCancel(ctx)
	if mutant.On(mutant.ResolveFirst) {
		_ = r.resolve(ctx, batch)
	}
	var stored []resent
	var failed error
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].sink == batch[0].sink {
			n++
		}
		some, err := r.put(ctx, batch[:n])
		stored, failed = append(stored, some...), errors.Join(failed, err)
		batch = batch[n:]
	}
	failpoint.Hit(failpoint.LettersBack)
	if err := r.resolve(ctx, stored); err != nil {
		return err
	}
	return failed
}

// put returns what was stored. An error ends the replay: nothing was.
func (r *putBack) put(ctx context.Context, batch []resent) (stored []resent, err error) {
	ms := make([]queue.Message, len(batch))
	for i := range batch {
		ms[i] = batch[i].message
	}
	errs := batch[0].sink.Put(ctx, ms)
	for i := range batch {
		if errs == nil || errs[i] == nil {
			stored = append(stored, batch[i])
			continue
		}
		r.tell.stays(batch[i].letter, errs[i])
	}
	if len(stored) == 0 {
		return nil, unavailable(errs[0])
	}
	return stored, nil
}

func (r *putBack) resolve(ctx context.Context, stored []resent) error {
	if len(stored) == 0 {
		return nil
	}
	ls := make([]*queue.Letter, len(stored))
	var bytes int64
	for i := range stored {
		ls[i] = stored[i].letter
		bytes += stored[i].message.Size()
	}
	if err := r.box.Resolve(ctx, ls); err != nil {
		return unavailable(fmt.Errorf("%s put back and may not be resolved: the next replay may deliver them again, with the same ids: %w", wereLetters(len(ls)), err))
	}
	r.tell.done(len(ls), bytes)
	return nil
}
