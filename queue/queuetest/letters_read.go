package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

func noLetters(b *letterBench) {
	if all := b.read(b.box()); len(all) != 0 {
		b.Errorf("%d letters in an empty queue", len(all))
	}
	if text := b.free(); text != "" {
		b.Errorf("free says of an empty queue: %s", text)
	}
	b.resolve(b.box())
}

func letterComesBack(b *letterBench) {
	s, _ := b.sink()
	m := b.message("first", 2000)
	m.Value = append(m.Value, 0, 1, 0xff, '\r', '\n', 0)
	unrouted := b.message("unrouted", 0)
	unrouted.Subject, unrouted.Headers = "", unrouted.Headers[3:] // no key
	b.put(s, m, unrouted)
	b.put(s, b.message("third", 100))
	for i, l := range b.shows("first", "unrouted", "third") {
		want := []queue.Message{m, unrouted, b.message("third", 100)}[i]
		if !bytes.Equal(l.Value, want.Value) || l.Subject != want.Subject || !recently(l.Time) {
			b.Errorf("%s has the subject %q, the time %s and %d bytes; want %q and %d", l.Name(), l.Subject, l.Time, len(l.Value), want.Subject, len(want.Value))
		}
		if d := cmp.Diff(headersByKey(want.Headers), headersByKey(l.Headers)); d != "" {
			b.Errorf("%s (-want +got):\n%s", l.Name(), d)
		}
		if f := l.Facts(); f.Reason != "permanent" || f.Deployment != "prod" || f.Lane.Entry() != letterLane.Entry() || !f.HasOrigin {
			b.Errorf("%s says %+v", l.Name(), f)
		}
	}
}

// headersByKey is what a queue has to keep of headers: each key's values, in order.
func headersByKey(hs []queue.Header) map[string][]string {
	out := map[string][]string{}
	for _, h := range hs {
		key := strings.ToLower(h.Key)
		out[key] = append(out[key], h.Value)
	}
	return out
}

func cutLetterComesWhole(b *letterBench) {
	s, _ := b.sink()
	large, other := b.message("large", b.cutSize()), b.message("other", b.cutSize()+1)
	b.put(s, b.message("before", 100), large, other, b.message("behind", 100))
	for i, l := range b.shows("before", "large", "other", "behind") {
		switch want := []queue.Message{{}, large, other, {}}[i]; {
		case want.Value == nil && len(l.Places) != 1:
			b.Errorf("a small letter lies at %v", l.Places)
		case want.Value == nil:
		case len(l.Places) < 3 || !bytes.Equal(l.Value, want.Value) || l.Subject != want.Subject:
			b.Errorf("%s lies at %v, has %d bytes of %d and the subject %q", l.Name(), l.Places, len(l.Value), len(want.Value), l.Subject)
		default:
			if d := cmp.Diff(headersByKey(want.Headers), headersByKey(l.Headers)); d != "" {
				b.Errorf("%s (-want +got):\n%s", l.Name(), d)
			}
		}
	}
}

// pieces are the chunks of a letter, each a message that any sink stores as it is.
func (b *letterBench) pieces(name string) []queue.Message {
	b.Helper()
	ms, err := queue.Split(b.message(name, 8000), 3000, func(m *queue.Message) int { return int(m.Size()) })
	if err != nil || len(ms) < 3 {
		b.Fatalf("%d chunks, %v", len(ms), err)
	}
	for i := range ms {
		ms[i].Subject = letterLane.String()
	}
	return ms
}

func halfwayIsDamaged(b *letterBench) {
	s, _ := b.sink()
	b.put(s, b.pieces("halfway")[:2]...)
	b.put(s, b.pieces("again")...)
	var damaged *queue.Letter
	for _, l := range b.read(b.box()) {
		switch {
		case l.Damage != nil && damaged == nil:
			damaged = l
		case l.Damage != nil || letterName(l) != "again" || len(l.Places) < 3:
			b.Errorf("%s lies at %v: %v", letterName(l), l.Places, l.Damage)
		}
	}
	if damaged == nil || len(damaged.Places) != 2 || damaged.Facts().Reason != "permanent" || damaged.Subject != letterLane.String() {
		b.Fatalf("what is there of a put that failed halfway: %+v", damaged)
	}
	ctx, cancel := b.within()
	defer cancel()
	if err := b.box().Resolve(ctx, []*queue.Letter{damaged}); err == nil || !strings.Contains(err.Error(), damaged.Name()) {
		b.Errorf("a letter whose chunks may be on their way was resolved: %v", err)
	}
	if n := len(b.read(b.box())); n != 2 {
		b.Errorf("%d letters are shown then, want 2", n)
	}
	b.put(s, b.message("last", 100)) // as the queue works on
	b.resolveNamed("last")
}

// resolveNamed resolves one whole letter in a box of its own.
func (b *letterBench) resolveNamed(name string) {
	b.Helper()
	box := b.box()
	for _, l := range b.read(box) {
		if l.Damage == nil && letterName(l) == name {
			b.resolve(box, l)
			return
		}
	}
	b.Errorf("%s is not there", name)
}

func laterFormatIsDamaged(b *letterBench) {
	s, _ := b.sink()
	later := b.message("later", 100)
	later.Headers[slices.IndexFunc(later.Headers, func(h queue.Header) bool { return h.Key == queue.HeaderVersion })].Value = "2"
	b.put(s, b.message("before", 100), later, b.message("behind", 100))
	all := b.read(b.box())
	i := slices.IndexFunc(all, func(l *queue.Letter) bool { return l.Damage != nil })
	if len(all) != 3 || i < 0 || letterName(all[i]) != "later" || !strings.Contains(all[i].Damage.Error(), `"2"`) {
		b.Fatalf("%d letters, %d is damaged", len(all), i)
	}
	b.resolve(b.box(), all[i])
	b.shows("before", "behind")
}

func visitEnds(b *letterBench) {
	b.fill("a", "b", "c")
	enough := errors.New("enough")
	n := 0
	ctx, cancel := b.within()
	defer cancel()
	box := b.box()
	err := box.Letters(ctx, func(*queue.Letter) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 2 {
		b.Errorf("%d letters, then %v", n, err)
	}
	if n := len(b.read(box)); n != 3 { // the same box goes on
		b.Errorf("%d letters afterwards, want 3", n)
	}
}

func contextEnds(b *letterBench) {
	b.fill("a", "b", "c")
	ctx, cancel := b.within()
	defer cancel()
	err := b.box().Letters(ctx, func(*queue.Letter) error {
		cancel()
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		b.Errorf("reading ended with %v", err)
	}
	if err := b.box().Letters(ctx, func(*queue.Letter) error { return nil }); !errors.Is(err, context.Canceled) {
		b.Errorf("reading with an ended context: %v", err)
	}
}

func putWhileReading(b *letterBench) {
	s, _ := b.sink()
	want := []string{"a", "b", "c"}
	b.put(s, b.message("a", 100), b.message("b", 100), b.message("c", 100))
	ctx, cancel := b.within()
	defer cancel()
	seen := map[string]bool{}
	err := b.box().Letters(ctx, func(l *queue.Letter) error {
		seen[letterName(l)] = true
		if len(want) < 10 {
			want = append(want, fmt.Sprint("new", len(want)))
			b.put(s, b.message(want[len(want)-1], 100))
		}
		return nil
	})
	if err != nil || !seen["a"] || !seen["b"] || !seen["c"] {
		b.Errorf("saw %v, %v", slices.Sorted(maps.Keys(seen)), err)
	}
	b.shows(want...)
}

// manyBytes is far above what a box may hold of them, beside the caches of a broker that
// runs in the test's process.
const (
	manyCount = 3000
	manyBytes = 96 << 20
	manyHeld  = 32 << 20
)

func manyLetters(b *letterBench) {
	s, _ := b.sink()
	for i := 0; i < manyCount; i += 100 {
		var ms []queue.Message
		for k := range 100 {
			ms = append(ms, b.message(fmt.Sprintf("m%05d", i+k), manyBytes/manyCount))
		}
		b.put(s, ms...)
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, most, n := heap(), int64(0), 0
	seen := map[string]bool{}
	ctx, cancel := b.within()
	defer cancel()
	err := b.box().Letters(ctx, func(l *queue.Letter) error {
		if n++; n%500 == 1 {
			most = max(most, heap()-before)
		}
		seen[letterName(l)] = true
		return nil
	})
	if err != nil || n != manyCount || len(seen) != manyCount {
		b.Errorf("%d letters, %d of them different, %v; want %d", n, len(seen), err, manyCount)
	}
	if most > manyHeld {
		b.Errorf("reading %d MiB of letters held %d MiB", manyBytes>>20, most>>20)
	}
}
