package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
)

// A model of the held pool: what is free, and a line in which nobody passes
// another. Takers run as goroutines; after each step all of them are at rest.
func TestHeldPoolServesInOrderAndConservesBytes(t *testing.T) {
	t.Parallel()
	// A bubble has no Deadline.
	synctest.Test(t, func(t *testing.T) {
		count := steps.Count(t)
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { heldMachine(t, count) })
	})
}

func heldMachine(t *rapid.T, count *steps.Counter) {
	type want struct {
		least, most int64
		end         context.CancelFunc
		got         int64
		err         error
		done        bool
	}
	const limit = 1000
	p := newHeldPool(limit)
	free := int64(limit)
	var line []*want
	var out []int64 // amounts that somebody holds
	serve := func() {
		for len(line) > 0 {
			x := line[0]
			least := min(x.least, limit)
			if free < least {
				return
			}
			n := min(x.most, max(least, free/takeShare))
			if !x.done || x.got != n {
				t.Fatalf("the head of the line wants %d to %d of %d free and got %d", x.least, x.most, free, x.got)
			}
			free -= n
			out = append(out, n)
			x.end()
			line = line[1:]
		}
	}
	settle := func() {
		synctest.Wait()
		serve()
		for _, x := range line {
			if x.done {
				t.Fatalf("a taker of %d was served out of turn, or with %d free", x.least, free)
			}
		}
		if p.free.Load() != free || int(p.line.Load()) != len(line) || p.status().Waiting != len(line) {
			t.Fatalf("free %d, line %d; the model has %d and %d", p.free.Load(), p.line.Load(), free, len(line))
		}
	}
	t.Repeat(count.Of(map[string]func(*rapid.T){
		"take": func(t *rapid.T) {
			ctx, end := context.WithCancel(context.Background())
			x := &want{least: rapid.Int64Range(1, 1200).Draw(t, "least"), end: end}
			x.most = x.least + rapid.Int64Range(0, 500).Draw(t, "beyond")
			line = append(line, x)
			go func() {
				x.got, x.err = p.Take(ctx, x.least, x.most)
				x.done = true
			}()
			settle()
		},
		"take at once": func(t *rapid.T) {
			most := rapid.Int64Range(0, 1200).Draw(t, "most")
			n, err := p.Take(context.Background(), 0, most)
			if want := max(0, min(free/takeShare, most)); n != want || err != nil {
				t.Fatalf("took %d, %v; want %d", n, err, want)
			}
			if n > 0 {
				free -= n
				out = append(out, n)
			}
			settle()
		},
		"give": func(t *rapid.T) {
			if len(out) == 0 {
				t.Skip()
			}
			i := rapid.IntRange(0, len(out)-1).Draw(t, "i")
			n := out[i]
			out = append(out[:i], out[i+1:]...)
			free += n
			p.Give(n)
			settle()
		},
		"charge": func(t *rapid.T) {
			n := rapid.Int64Range(1, 700).Draw(t, "n")
			p.Charge(n)
			free -= n
			out = append(out, n)
			settle()
		},
		"cancel": func(t *rapid.T) {
			if len(line) == 0 {
				t.Skip()
			}
			i := rapid.IntRange(0, len(line)-1).Draw(t, "i")
			x := line[i]
			line = append(line[:i], line[i+1:]...)
			x.end()
			synctest.Wait()
			if !x.done || !errors.Is(x.err, context.Canceled) {
				t.Fatalf("a cancelled taker got %d, %v", x.got, x.err)
			}
			settle()
		},
	}))
	for _, x := range line {
		x.end()
	}
	synctest.Wait()
	for _, n := range out {
		p.Give(n)
	}
	if st := p.status(); st.Used != 0 || st.Waiting != 0 {
		t.Fatalf("after all was given back: %+v", st)
	}
}

// Takers that come together leave bytes for the one that comes next.
func TestTakersLeaveSomething(t *testing.T) {
	t.Parallel()
	p := newHeldPool(1 << 20)
	for range 8 {
		if _, err := p.Take(t.Context(), 1<<10, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if free := p.free.Load(); free < 1<<19 {
		t.Errorf("8 takers left %d of %d bytes", free, 1<<20)
	}
	if n, err := p.Take(t.Context(), 1<<18, 1<<20); n != 1<<18 || err != nil {
		t.Errorf("one that needs more got %d, %v", n, err)
	}
}

// A taker that gives up just when it was served gives the bytes back, and whoever
// watches learns of it.
func TestAGrantThatCameTooLateIsGivenBack(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(context.Background())
	end()
	late := 0
	for range 200 {
		p := newHeldPool(10)
		wake := make(chan struct{}, 1)
		p.watch(wake)
		n, err := p.Take(ended, 5, 5) // served and ended at once: either may be seen
		if free := p.free.Load(); free+n != 10 || err != nil && n != 0 {
			t.Fatalf("%d are free and %d taken of 10: %v", free, n, err)
		}
		if err != nil {
			late++
			select {
			case <-wake:
			default:
				t.Fatal("nobody told the watcher")
			}
		}
		p.unwatch(wake)
		if p.line.Load() != 0 {
			t.Fatal("somebody is left in line")
		}
	}
	if late == 0 {
		t.Fatal("no grant came too late")
	}
}
