package queuetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/flushline/flushline/queue"
)

func resolvedIsGone(b *letterBench) {
	b.fill("a", "b", "c", "d")
	box, other := b.box(), b.box()
	all := b.shows("a", "b", "c", "d")
	b.resolve(box, all[1], all[3])
	b.shows("a", "c")
	if n := len(b.read(other)); n != 2 {
		b.Errorf("a box that was open shows %d letters, want 2", n)
	}
	b.resolve(other, all[1])
	b.resolve(box, all[1], all[1], all[0])
	b.shows("c")
	b.fill("e")
	b.shows("c", "e")
}

func resolvedWhileReading(b *letterBench) {
	var names, open []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("n%03d", i))
		if i%3 == 0 {
			open = append(open, names[i])
		}
	}
	b.fill(names...)
	box, n := b.box(), 0
	ctx, cancel := b.within()
	defer cancel()
	err := box.Letters(ctx, func(l *queue.Letter) error {
		if n++; slices.Contains(open, letterName(l)) {
			return nil
		}
		return box.Resolve(ctx, []*queue.Letter{l.Bare()})
	})
	if err != nil || n != len(names) {
		b.Errorf("%d letters, %v; want %d", n, err, len(names))
	}
	b.shows(open...)
}

func resolvedAtOnce(b *letterBench) {
	var names, open []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("n%02d", i))
		if i%6 == 5 {
			open = append(open, names[i])
		}
	}
	b.fill(names...)
	all := b.shows(names...)
	var boxes sync.WaitGroup
	for k := range 3 {
		box := b.box()
		boxes.Go(func() {
			ctx, cancel := b.within()
			defer cancel()
			for i, l := range all {
				// Each letter is resolved by two of the three boxes, except every sixth.
				if i%6 == 5 || i%3 == k {
					continue
				}
				if err := box.Resolve(ctx, []*queue.Letter{l.Bare()}); err != nil {
					b.Errorf("box %d: %v", k, err)
				}
			}
		})
	}
	boxes.Wait()
	b.shows(open...)
}

// A process dies between two chunks: what is left is shown, whole only if nothing of it
// is gone, and the letter can be resolved again by whoever does not know.
func resolvedInPart(b *letterBench) {
	s, _ := b.sink()
	b.put(s, b.message("before", 100))
	b.put(s, b.pieces("large")...)
	all := b.shows("before", "large")
	l := all[1]
	part := *l
	part.Places = l.Places[1:]
	b.resolve(b.box(), &part)
	for _, left := range b.read(b.box()) {
		if letterName(left) != "before" && left.Damage == nil && len(left.Places) != len(l.Places) {
			b.Errorf("%s is shown whole, with %d places of %d", left.Name(), len(left.Places), len(l.Places))
		}
	}
	b.resolve(b.box(), l)
	b.shows("before")
}

func openIsNotFreed(b *letterBench) {
	b.fill("a", "b", "c")
	b.fill("d", "e")
	all := b.shows("a", "b", "c", "d", "e")
	b.resolve(b.box(), all[0], all[3], all[4])
	b.free()
	b.shows("b", "c")
	b.fill("f")
	b.shows("b", "c", "f")
	b.free()
	b.shows("b", "c", "f")
}

func resolvedIsFreed(b *letterBench) {
	b.fill("a", "b", "c")
	s, done := b.sink()
	b.put(s, b.pieces("large")...)
	done()
	b.resolve(b.box(), b.shows("a", "b", "c", "large")...)
	if text := b.free(); text != "" {
		b.Errorf("free left something: %s", text)
	}
	if n := b.left(); n != 0 {
		b.Errorf("%d are left when everything was freed", n)
	}
	b.shows()
	b.fill("new")
	b.shows("new")
}

func goneSaysSo(b *letterBench) {
	b.fill("a")
	box := b.box()
	all := b.shows("a")
	if err := b.q.Remove(); err != nil {
		b.Fatal(err)
	}
	for what, call := range map[string]func(context.Context) error{
		"letters": func(ctx context.Context) error {
			return box.Letters(ctx, func(*queue.Letter) error { return nil })
		},
		"resolve": func(ctx context.Context) error { return box.Resolve(ctx, all) },
		"free":    func(ctx context.Context) error { _, err := box.Free(ctx); return err },
	} {
		ctx, cancel := b.within()
		err := call(ctx)
		late := ctx.Err() != nil
		cancel()
		if err == nil || late {
			b.Errorf("%s of a queue that is gone: %v, waited for ever: %t", what, err, late)
			continue
		}
		place := box.Describe()
		place = place[strings.LastIndexByte(place, ' ')+1:]
		if !strings.Contains(err.Error(), place) {
			b.Errorf("%s does not say where: %v", what, err)
		}
	}
}
