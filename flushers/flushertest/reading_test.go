package flushertest_test

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// readingCheats are those that do with a batch what they must not.
func readingCheats() []cheat {
	const memory = "nothing of a batch is read after Flush returned"
	const big = "big groups are stored or refused"
	const odd = "empty and odd groups harm nobody"
	const own = "the time of a log is its own"
	return []cheat{
		{"changes a group", bend(func(f *bent) { f.flush = changeGroup }), memory, "Flush changed Groups[0] of its batch", nil},
		{"changes the bytes of a group", bend(func(f *bent) { f.flush = changeRaw }), memory, "Flush changed Raw[0] of its batch", nil},
		{"empties the list", bend(func(f *bent) { f.flush = emptyList }), memory, "Flush changed Groups[0] of its batch", nil},
		{"keeps what failed for the next Flush", bend(func(f *bent) { f.flush = keepFailed }), memory, "was the memory of a batch read after Flush returned?", nil},
		{"keeps the bytes of what failed", bend(func(f *bent) { f.flush = keepFailedRaw }), memory, "was the memory of a batch read after Flush returned?", nil},
		{"goes on after its context has ended", bend(func(f *bent) { f.flush = goOn }), memory, "was the memory of a batch read after Flush returned?", nil},

		{"cuts what is long", bend(func(f *bent) { f.encode = cutLong }), big, "stored otherwise than it was flushed", nil},
		{"drops what is long", bend(func(f *bent) { f.encode = dropLong }), big, "a log of 3 MiB: the log", nil},
		{"takes a hundred groups at most", bend(func(f *bent) { f.encode = hundred }), big, "1,024 groups: the log", nil},
		{"cannot go on after what is long", bend(func(f *bent) { f.flush = stuckAfterLong }), big, "Flush failed although the destination is well", nil},

		{"panics for a nil log", bend(func(f *bent) { f.flush = panicAtNilLog }), odd, "Flush panicked", nil},
		{"panics for a nil content", bend(func(f *bent) { f.flush = panicAtNilContent }), odd, "Flush panicked", nil},
		{"panics for a nil tag", bend(func(f *bent) { f.flush = panicAtNilTag }), odd, "Flush panicked", nil},
		{"refuses a group without logs", bend(func(f *bent) { f.flush = refuseEmpty }), odd, "a group that holds nothing to store is refused for good", nil},
		{"fails for a group without logs", bend(func(f *bent) { f.flush = failEmpty }), odd, "Flush still fails", nil},
		{"drops logs with an empty key", bend(func(f *bent) { f.encode = withoutEmptyKeys }), odd, "an empty key: after Stop: the log", nil},
		{"refuses the neighbours of bad bytes", bend(func(f *bent) { f.flush = refuseNeighbours }), odd, "a plain group beside it is refused for good", nil},
		{"stops storing at bad bytes", bend(func(f *bent) { f.encode = untilBadBytes }), odd, "after Stop: the log", nil},

		{"stores the time of now", bend(func(f *bent) { f.encode = now }), own, "want its own", nil},
		{"takes seconds for milliseconds", bend(func(f *bent) { f.encode = milliseconds }), own, "want its own", nil},
		{"takes the fraction for an epoch", bend(func(f *bent) { f.encode = fraction }), own, "want its own", nil},
		{"stores no time", bend(func(f *bent) { f.encode = noTime }), own, "Record.Time is missing", func(s *store) { s.timeless = true }},
	}
}

func changeGroup(f *bent, ctx context.Context, b *flushers.Batch) error {
	g := b.Groups[0]
	g.LogTags = append(g.LogTags, &protocol.LogTag{Key: "flushed", Value: "yes"})
	return f.honest.FlushBatch(ctx, b)
}

func changeRaw(f *bent, ctx context.Context, b *flushers.Batch) error {
	if len(b.Raw) > 0 {
		b.Raw[0][0] ^= 1
	}
	return f.honest.FlushBatch(ctx, b)
}

func emptyList(f *bent, ctx context.Context, b *flushers.Batch) error {
	err := f.honest.FlushBatch(ctx, b)
	clear(b.Groups)
	return err
}

// keepFailed helps the worker with its retries.
func keepFailed(f *bent, ctx context.Context, b *flushers.Batch) error {
	for _, k := range f.kept {
		if err := f.honest.FlushBatch(ctx, k); err != nil {
			return err
		}
	}
	f.kept = nil
	err := f.honest.FlushBatch(ctx, b)
	if err != nil {
		f.kept = append(f.kept, b)
	}
	return err
}

func keepFailedRaw(f *bent, ctx context.Context, b *flushers.Batch) error {
	for _, k := range f.kept {
		for _, raw := range k.Raw {
			_ = f.post(ctx, &request{Groups: []group{{ID: "raw", Logs: []log{{Fields: map[string]string{"id": string(raw)}}}}}})
		}
	}
	f.kept = nil
	err := f.honest.FlushBatch(ctx, b)
	if err != nil {
		f.kept = append(f.kept, b)
	}
	return err
}

// goOn returns when its context ends, and has another try behind its caller's back.
func goOn(f *bent, ctx context.Context, b *flushers.Batch) error {
	err := f.honest.FlushBatch(ctx, b)
	if ctx.Err() != nil {
		go func() {
			time.Sleep(100 * time.Millisecond)
			_ = f.honest.FlushBatch(context.Background(), b)
		}()
	}
	return err
}

const long = 1 << 20

func cutLong(f *bent, b *flushers.Batch) *request {
	return each(f.copied(b), func(l *log) {
		for k, v := range l.Fields {
			l.Fields[k] = v[:min(len(v), long)]
		}
	})
}

func isLong(l *log) bool {
	for _, v := range l.Fields {
		if len(v) > long {
			return true
		}
	}
	return false
}

// only keeps the logs of a request that it likes.
func only(r *request, like func(*log) bool) *request {
	for i := range r.Groups {
		g := &r.Groups[i]
		var logs []log
		for j := range g.Logs {
			if like(&g.Logs[j]) {
				logs = append(logs, g.Logs[j])
			}
		}
		g.Logs = logs
	}
	return r
}

func dropLong(f *bent, b *flushers.Batch) *request {
	return only(f.copied(b), func(l *log) bool { return !isLong(l) })
}

func hundred(f *bent, b *flushers.Batch) *request {
	r := f.copied(b)
	r.Groups = r.Groups[:min(len(r.Groups), 100)]
	return r
}

func stuckAfterLong(f *bent, ctx context.Context, b *flushers.Batch) error {
	if f.broken {
		return errors.New("the buffer is full")
	}
	for _, g := range f.copied(b).Groups {
		for i := range g.Logs {
			f.broken = f.broken || isLong(&g.Logs[i])
		}
	}
	if f.broken {
		return flushers.TooLarge(errors.New("the log is too long"))
	}
	return f.honest.FlushBatch(ctx, b)
}

func panicAtNilLog(f *bent, ctx context.Context, b *flushers.Batch) error {
	for _, g := range b.Groups {
		for _, l := range g.Logs {
			_ = l.Time
		}
	}
	return f.honest.FlushBatch(ctx, b)
}

func panicAtNilContent(f *bent, ctx context.Context, b *flushers.Batch) error {
	for _, g := range b.Groups {
		for _, l := range g.Logs {
			if l != nil {
				for _, c := range l.Contents {
					_ = c.Key
				}
			}
		}
	}
	return f.honest.FlushBatch(ctx, b)
}

func panicAtNilTag(f *bent, ctx context.Context, b *flushers.Batch) error {
	for _, g := range b.Groups {
		for _, t := range g.LogTags {
			_ = t.Key
		}
	}
	return f.honest.FlushBatch(ctx, b)
}

func hasEmpty(b *flushers.Batch) bool {
	for _, g := range b.Groups {
		if len(g.Logs) == 0 {
			return true
		}
	}
	return false
}

func refuseEmpty(f *bent, ctx context.Context, b *flushers.Batch) error {
	if hasEmpty(b) {
		return flushers.Permanent(errors.New("a group is empty"))
	}
	return f.honest.FlushBatch(ctx, b)
}

func failEmpty(f *bent, ctx context.Context, b *flushers.Batch) error {
	if hasEmpty(b) {
		return errors.New("a group is empty")
	}
	return f.honest.FlushBatch(ctx, b)
}

func withoutEmptyKeys(f *bent, b *flushers.Batch) *request {
	return only(f.copied(b), func(l *log) bool { _, there := l.Fields[""]; return !there })
}

func badBytes(g *group) bool {
	for i := range g.Logs {
		for k, v := range g.Logs[i].Fields {
			if !utf8.ValidString(k) || !utf8.ValidString(v) {
				return true
			}
		}
	}
	return false
}

func refuseNeighbours(f *bent, ctx context.Context, b *flushers.Batch) error {
	r, failed := f.copied(b), map[int]error{}
	for i := range r.Groups {
		if badBytes(&r.Groups[i]) {
			for j := range r.Groups {
				failed[j] = flushers.Permanent(errors.New("a group is not UTF-8"))
			}
		}
	}
	if len(failed) > 0 {
		return &flushers.PartialError{Failed: failed}
	}
	return f.post(ctx, r)
}

func untilBadBytes(f *bent, b *flushers.Batch) *request {
	r := f.copied(b)
	for i := range r.Groups {
		if badBytes(&r.Groups[i]) {
			r.Groups = r.Groups[:i]
			break
		}
	}
	return r
}

func now(f *bent, b *flushers.Batch) *request {
	return each(f.copied(b), func(l *log) { l.Time = time.Now().Unix() })
}

func milliseconds(f *bent, b *flushers.Batch) *request {
	return each(f.copied(b), func(l *log) { l.Time /= 1000 })
}

func fraction(f *bent, b *flushers.Batch) *request {
	return each(f.copied(b), func(l *log) {
		if l.Ns != 0 {
			l.Time = 0
		}
	})
}

func noTime(f *bent, b *flushers.Batch) *request {
	return each(f.copied(b), func(l *log) { l.Time, l.Ns = 0, 0 })
}
