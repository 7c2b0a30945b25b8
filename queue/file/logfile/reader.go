package logfile

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// reader reads one file. It implements job.Reader and job.Consumer.
type reader struct {
	in    *Input
	slice *job.Slice
	below string // the name below the root
	seed  *queue.OriginSeed

	raw      *stored // nil: to be opened, at next
	memory   *memory // nil: none was borrowed
	dec      *decoder
	win      *window
	layout   layout
	modified time.Time
	consumed atomic.Int64

	next int64 // all positions below were handed out
	over error // why there is no more: io.EOF, or an error that stays

	skipping *stretch         // bytes that cannot be read, whose end is looked for
	attempt  int              // bytes of lines to try at once; 0: a whole block
	parsed   *packs           // of a file that is read as a whole
	groups   []protocol.Group // memory of the last block
	headers  []queue.Header   // of the last frame's key
	key      protocol.Key
}

var (
	_ job.Reader   = (*reader)(nil)
	_ job.Consumer = (*reader)(nil)
)

func newReader(in *Input, s *job.Slice, at int64) *reader {
	return &reader{in: in, slice: s, below: below(s), next: at}
}

// open begins at r.next: with the first byte of what is compressed.
func (r *reader) open(ctx context.Context) error {
	b, err := r.in.blob(ctx, r.slice)
	if err != nil {
		return err
	}
	r.raw = &stored{blob: b, ctx: ctx}
	r.memory = r.in.borrow()
	if r.dec, err = newDecoder(r.raw, r.memory); err != nil {
		return err
	}
	r.win = &window{from: r.dec, buf: r.memory.window[:0]}
	r.modified = b.modified()
	seed := queue.NewOriginSeed("file", r.below+"\x00"+strconv.FormatInt(r.slice.Size, 10)+"\x00"+b.identity())
	r.seed = &seed
	if err := r.detect(); err != nil {
		return err
	}
	r.skipping, r.attempt, r.parsed = nil, 0, nil
	if r.layout.kind == whole {
		return nil // its positions are no places
	}
	if r.dec.name == "" && r.next > int64(len(r.win.buf)) {
		r.dec.seek(r.next)
		r.win = &window{from: r.dec, buf: r.win.buf[:0], at: r.next}
		return nil
	}
	return r.win.skip(r.next)
}

// patience is how many bytes are read without a message before Read returns.
const patience = 4 << 20

// Read implements job.Reader. Trouble with the stored bytes makes the next Read open
// the file anew.
func (r *reader) Read(ctx context.Context, bytes int64) (job.Batch, error) {
	b := batch{Batch: job.Batch{Next: r.next}}
	if r.over != nil {
		return b.Batch, r.over
	}
	err := r.read(ctx, bytes, &b)
	if r.raw != nil {
		r.consumed.Store(r.raw.at.Load() - int64(r.dec.in.Buffered()))
	}
	b.Next = r.next
	var changed *job.ChangedError
	switch {
	case err == nil:
	case errors.Is(err, io.EOF), errors.As(err, &changed), job.IsUnreadable(err):
		r.over = err
	default:
		r.leave()
	}
	if len(b.Messages) > 0 {
		err = nil // it comes again, or was trouble that has passed
	}
	return b.Batch, err
}

func (r *reader) read(ctx context.Context, bytes int64, b *batch) error {
	if r.raw == nil {
		if err := r.open(ctx); err != nil {
			r.leave()
			return err
		}
	}
	r.raw.ctx = ctx
	from := r.win.at
	for b.held < max(bytes, 1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(b.Messages) == 0 && r.next > b.Next && r.win.at-from > patience {
			return nil
		}
		if err := r.step(b); err != nil {
			return err
		}
	}
	return nil
}

// step hands out a message or two, or gets on without.
func (r *reader) step(b *batch) error {
	switch r.layout.kind {
	case lines:
		return r.readLines(b)
	case frames:
		return r.readFrame(b)
	case whole:
		return r.readWhole(b)
	}
	return r.readUnknown(b)
}

// end is after the last byte. A stream that broke off has one piece of damage there.
func (r *reader) end(b *batch) error {
	if r.win.broken != "" && r.win.at >= r.next {
		r.damaged(b, r.next, -1, r.win.have(), r.win.broken)
		r.win.use(len(r.win.have()))
		r.next = r.win.at + 1 // behind the end: it is not told twice
		return nil
	}
	if err := r.raw.unchanged(); err != nil {
		return err
	}
	return io.EOF
}

// leave closes the file; the next Read opens it.
func (r *reader) leave() {
	if r.memory != nil {
		var window []byte
		if r.win != nil {
			window = r.win.buf
		}
		r.in.giveBack(r.memory, window, r.dec == nil || r.dec.spoiled)
	}
	if r.raw != nil {
		_ = r.raw.close() // it was read only
	}
	r.raw, r.memory, r.dec, r.win = nil, nil, nil, nil
}

// Seed implements job.Reader. Origins depend on the file's name below the root, its
// size and content, and the position: not on where it lies, nor on its times.
func (r *reader) Seed() *queue.OriginSeed { return r.seed }

// Consumed implements job.Consumer.
func (r *reader) Consumed() int64 { return r.consumed.Load() }

// Close implements job.Reader.
func (r *reader) Close() error {
	r.leave()
	return nil
}
