package flushertest_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

func allCheats() []cheat {
	return slices.Concat(declaringCheats(), storingCheats(), failingCheats(), livingCheats(), readingCheats())
}

// with changes what a kind declares.
func with(k flushers.Kind, change func(*flushers.Kind)) flushers.Kind {
	change(&k)
	return k
}

func asIs(*bent) {}

func declaringCheats() []cheat {
	const declares = "the kind is what it declares"
	const options = "options have help, limits and defaults that hold"
	only := &honest{}
	return []cheat{
		{"has an impossible name", with(bend(asIs), func(k *flushers.Kind) { k.Name = "Posts!" }), declares, "the name must match", nil},
		{"has a summary of several lines", with(bend(asIs), func(k *flushers.Kind) { k.Summary = "Posts.\nAnd more." }), declares, "want a sentence of one line", nil},
		{"describes itself otherwise", with(bend(asIs), func(k *flushers.Kind) { k.Summary = "Another." }), declares, "want the Summary", nil},
		{"does not say what it was tested against", with(bend(asIs), func(k *flushers.Kind) { k.TestedAgainst = "" }), declares, "TestedAgainst is empty", nil},
		{"runs elsewhere", with(bend(asIs), func(k *flushers.Kind) { k.OS = []string{"plan9"} }), declares, "nothing is proven here", nil},
		{"takes bytes in Flush", with(kindOf(func() flushers.Flusher { return &plain{} }), func(k *flushers.Kind) { k.Raw = true }), declares, "Raw without FlushBatch", nil},
		{"knows IDs in Flush", with(kindOf(func() flushers.Flusher { return &plain{} }), func(k *flushers.Kind) { k.Idempotence = flushers.PerLog }), declares, "Flush is given no IDs", nil},
		{"runs no call at a time", kindOf(func() flushers.Flusher { return &several{} }), declares, "want at least 1", nil},
		{"wishes for less than nothing", kindOf(func() flushers.Flusher { return &wishing{hint: flushers.Hint{Wait: -1}} }), declares, "zero says that there is no wish", nil},

		{"has a wrong tag", kindOf(func() flushers.Flusher { return &wrongTag{} }), options, "the tags of the options are wrong", nil},
		{"has an option without help", kindOf(func() flushers.Flusher { return &helpless{} }), options, "the option block.more has no help", nil},
		{"takes an option of the worker", kindOf(func() flushers.Flusher { return &foreign{} }), options, "belongs to the worker", nil},
		{"has a default beyond its limit", kindOf(func() flushers.Flusher { return &unlimited{} }), options, "refused with their defaults written out", nil},
		{"is one instance for all", kindOf(func() flushers.Flusher { return only }), options, "New returns one instance twice", nil},
	}
}

type wrongTag struct {
	honest
	More string `option:"more" help:"More." min:"much"`
}

type helpless struct {
	honest
	Block struct {
		More string `option:"more"`
	} `option:"block" help:"A block."`
}

type unlimited struct {
	honest
	More int `option:"more" min:"1" help:"More."`
}

type foreign struct {
	honest
	Timeout time.Duration `option:"flush_timeout" help:"How long a Flush may take."`
}

func storingCheats() []cheat {
	const nilIsStored = "nil means stored"
	const kill = "a kill right after nil loses nothing"
	const neverNil = "nil is never said while nothing can be stored"
	const again = "what is flushed again is stored as often as Idempotence says"
	return []cheat{
		{"stores nothing", bend(func(f *bent) { f.flush = storeNothing }), nilIsStored, "is not stored", nil},
		{"stores a little later", bend(func(f *bent) { f.flush = storeLater }), nilIsStored, "is not stored", nil},
		{"stores with the next batch", bend(func(f *bent) { f.flush = storeWithNext }), nilIsStored, "is not stored", nil},
		{"stores everything twice", bend(func(f *bent) { f.flush = storeTwice }), nilIsStored, "is stored 2 times, want once", nil},
		{"stores the first group only", bend(func(f *bent) { f.encode = firstGroup }), nilIsStored, "is not stored", nil},
		{"stores the first log of a group only", bend(func(f *bent) { f.encode = firstLog }), nilIsStored, "is not stored", nil},
		{"changes what it stores", bend(func(f *bent) { f.encode = upperCase }), nilIsStored, "stored otherwise than it was flushed", nil},
		{"loses a field", bend(func(f *bent) { f.encode = withoutLevel }), nilIsStored, `the field "level" is missing`, nil},
		{"makes up records", bend(func(f *bent) { f.encode = withOneMore }), nilIsStored, "a record is stored that nobody flushed", nil},
		{"is never ready", bend(func(f *bent) { f.ready = func(*bent) bool { return false } }), nilIsStored, "IsReady is still false", nil},
		{"panics in Flush", bend(func(f *bent) { f.flush = panics }), nilIsStored, "Flush panicked: boom", nil},
		{"ends its goroutine", bend(func(f *bent) { f.flush = exits }), nilIsStored, "ended its goroutine instead of returning", nil},
		{"stores in FlushBatch only", kindOf(func() flushers.Flusher { return &batchOnly{} }), nilIsStored, "right after Flush without FlushBatch", nil},

		{"stores at once, in a goroutine", bend(func(f *bent) { f.flush = storeBeside }), kill, "is not stored", nil},

		{"swallows errors", bend(func(f *bent) { f.flush = swallow }), neverNil, "while the destination was broken", nil},
		{"takes the end of its context for success", bend(func(f *bent) { f.flush = swallowTimeout }), neverNil, "while the destination was hanging", nil},

		{"declares that it knows an identical call", with(bend(asIs), func(k *flushers.Kind) { k.Idempotence = flushers.SameCall }), again, "the identical batch was flushed again: ", nil},
		{"knows an identical call in its instance", with(bend(func(f *bent) { f.flush = onceAnInstance }), func(k *flushers.Kind) { k.Idempotence = flushers.SameCall }), again, "by another instance", nil},
		{"knows batches and declares groups", with(bend(func(f *bent) { f.flush = onceABatch }), func(k *flushers.Kind) { k.Idempotence = flushers.PerGroup }), again, "in other batches", nil},
		{"knows groups as long as the process lives", with(bend(func(f *bent) { f.flush = onceAProcess }), func(k *flushers.Kind) { k.Idempotence = flushers.PerLog }), again, "promises no duplicates after a kill", nil},
	}
}

func storeNothing(*bent, context.Context, *flushers.Batch) error { return nil }

// copied is a batch that may be read when its Flush has returned.
func (f *bent) copied(b *flushers.Batch) *request { return f.honest.encode(b) }

func storeLater(f *bent, _ context.Context, b *flushers.Batch) error {
	r := f.copied(b)
	time.AfterFunc(time.Second, func() { _ = f.post(context.Background(), r) })
	return nil
}

func storeBeside(f *bent, _ context.Context, b *flushers.Batch) error {
	r := f.copied(b)
	go func() { _ = f.post(context.Background(), r) }()
	return nil
}

// held is what storeWithNext keeps, copied.
var held = map[*bent]*request{}

func storeWithNext(f *bent, ctx context.Context, b *flushers.Batch) error {
	last := held[f]
	held[f] = f.copied(b)
	if last == nil {
		return nil
	}
	return f.post(ctx, last)
}

func storeTwice(f *bent, ctx context.Context, b *flushers.Batch) error {
	return errors.Join(f.honest.FlushBatch(ctx, b), f.honest.FlushBatch(ctx, b))
}

func firstGroup(f *bent, b *flushers.Batch) *request {
	r := f.copied(b)
	r.Groups = r.Groups[:1]
	return r
}

func firstLog(f *bent, b *flushers.Batch) *request {
	r := f.copied(b)
	for i := range r.Groups {
		r.Groups[i].Logs = r.Groups[i].Logs[:min(1, len(r.Groups[i].Logs))]
	}
	return r
}

// each changes every log of a request.
func each(r *request, change func(*log)) *request {
	for i := range r.Groups {
		for j := range r.Groups[i].Logs {
			change(&r.Groups[i].Logs[j])
		}
	}
	return r
}

func upperCase(f *bent, b *flushers.Batch) *request {
	return each(f.copied(b), func(l *log) { l.Fields["text"] = strings.ToUpper(l.Fields["text"]) })
}

func withoutLevel(f *bent, b *flushers.Batch) *request {
	return each(f.copied(b), func(l *log) { delete(l.Fields, "level") })
}

func withOneMore(f *bent, b *flushers.Batch) *request {
	r := f.copied(b)
	r.Groups = append(r.Groups, group{ID: "made up", Logs: []log{{Fields: map[string]string{"id": "made up"}}}})
	return r
}

func panics(*bent, context.Context, *flushers.Batch) error { panic("boom") }

func exits(*bent, context.Context, *flushers.Batch) error {
	runtime.Goexit()
	return nil
}

type batchOnly struct{ honest }

func (*batchOnly) Flush(string, string, string, []*protocol.LogGroup) error { return nil }

func swallow(f *bent, ctx context.Context, b *flushers.Batch) error {
	_ = f.honest.FlushBatch(ctx, b)
	return nil
}

func swallowTimeout(f *bent, ctx context.Context, b *flushers.Batch) error {
	if err := f.honest.FlushBatch(ctx, b); ctx.Err() == nil {
		return err
	}
	return nil
}

// idsOf is what an identical call has again.
func idsOf(b *flushers.Batch) string {
	var all []string
	for _, id := range b.IDs {
		all = append(all, id.String())
	}
	return strings.Join(all, " ")
}

func onceAnInstance(f *bent, ctx context.Context, b *flushers.Batch) error {
	for _, k := range f.kept {
		if idsOf(k) == idsOf(b) {
			return nil
		}
	}
	f.kept = append(f.kept, &flushers.Batch{IDs: b.IDs})
	return f.honest.FlushBatch(ctx, b)
}

// seen is what a process knows of what it stored.
var seen = map[string]bool{}

func onceABatch(f *bent, ctx context.Context, b *flushers.Batch) error {
	if seen[idsOf(b)] {
		return nil
	}
	seen[idsOf(b)] = true
	return f.honest.FlushBatch(ctx, b)
}

func onceAProcess(f *bent, ctx context.Context, b *flushers.Batch) error {
	r := f.copied(b)
	r.Groups = slices.DeleteFunc(r.Groups, func(g group) bool { return seen[g.ID] })
	for _, g := range r.Groups {
		seen[g.ID] = true
	}
	return f.post(ctx, r)
}
