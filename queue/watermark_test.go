package queue_test

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
)

// naive is a watermark that remembers everything.
type naive struct {
	next      int64
	positions []int64 // by ordinal
	ended     []bool
}

func (n *naive) low() int64 {
	for i, p := range n.positions {
		if !n.ended[i] {
			return p
		}
	}
	return n.next
}

func (n *naive) lowest() int {
	for i := range n.positions {
		if !n.ended[i] {
			return i
		}
	}
	return len(n.positions)
}

func (n *naive) above() []queue.Interval {
	var all []queue.Interval
	for i := n.lowest(); i < len(n.positions); i++ {
		switch p := n.positions[i]; {
		case !n.ended[i]:
		case n.ended[i-1]:
			all[len(all)-1].To = p + 1
		default:
			all = append(all, queue.Interval{From: p, To: p + 1})
		}
	}
	return all
}

func (n *naive) open() []int64 {
	var all []int64
	for i, e := range n.ended {
		if !e {
			all = append(all, int64(i))
		}
	}
	return all
}

// Whatever is added and ended, the watermark is the model's: with holes, over
// many laps of a small ring, and when more is added than the span foresaw.
func TestWatermarkIsTheModels(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Int64Range(0, 1000).Draw(t, "start")
		w := queue.NewWatermark(start, rapid.IntRange(1, 200).Draw(t, "span"))
		m := &naive{next: start}
		misuse := int64(0)
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				hole := rapid.SampledFrom([]int64{0, 0, 0, 1, 7}).Draw(t, "hole")
				for range rapid.IntRange(1, 150).Draw(t, "messages") {
					pos := m.next + hole
					if got := w.Add(pos); got != int64(len(m.positions)) {
						t.Fatalf("ordinal %d, want %d", got, len(m.positions))
					}
					m.positions, m.ended, m.next = append(m.positions, pos), append(m.ended, false), pos+1
				}
			},
			"advance": func(t *rapid.T) {
				pos := m.next + rapid.Int64Range(-3, 5).Draw(t, "by")
				w.Advance(pos)
				m.next = max(m.next, pos)
			},
			"end": func(t *rapid.T) {
				open := m.open()
				if len(open) == 0 {
					t.Skip("nothing open")
				}
				some := rapid.SliceOfNDistinct(rapid.SampledFrom(open), 1, len(open), rapid.ID[int64]).Draw(t, "ordinals")
				for _, o := range some {
					w.End(o)
					m.ended[o] = true
				}
			},
			"end the oldest": func(t *rapid.T) {
				open := m.open()
				for _, o := range open[:rapid.IntRange(0, len(open)).Draw(t, "how many")] {
					w.End(o)
					m.ended[o] = true
				}
			},
			"misuse": func(t *rapid.T) {
				switch rapid.IntRange(0, 2).Draw(t, "how") {
				case 0:
					if got := w.Add(m.next - 1); got != -1 {
						t.Fatalf("ordinal %d for a position that was passed", got)
					}
				case 1:
					w.End(int64(len(m.positions)))
				case 2:
					if m.lowest() == 0 {
						t.Skip("nothing was passed")
					}
					w.End(rapid.Int64Range(0, int64(m.lowest())-1).Draw(t, "passed"))
				}
				misuse++
			},
			"": func(t *rapid.T) {
				low, above := w.Above()
				if got := w.Low(); got != low || low != m.low() {
					t.Fatalf("low %d, with Above %d, want %d", got, low, m.low())
				}
				if diff := cmp.Diff(m.above(), above); diff != "" {
					t.Fatalf("above %d (-want +got):\n%s", low, diff)
				}
				if got, want := w.Span(), len(m.positions)-m.lowest(); got != want {
					t.Fatalf("span %d, want %d", got, want)
				}
				if w.Next() != m.next || w.Misuse() != misuse {
					t.Fatalf("next %d, misuse %d, want %d, %d", w.Next(), w.Misuse(), m.next, misuse)
				}
			},
		}))
	})
}

// While one goroutine adds and many end, the watermark only rises and never
// passes a message that has not ended.
func TestWatermarkAmongGoroutines(t *testing.T) {
	t.Parallel()
	const messages, enders = 60_000, 4
	type open struct{ ordinal, pos int64 }
	w := queue.NewWatermark(0, 300)
	work := make(chan open, 500)
	var mu sync.Mutex
	held := map[int64]bool{} // positions received and not ended
	done := make(chan struct{})

	var end, watch sync.WaitGroup
	for i := range enders {
		end.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			var mine []open
			settle := func(k int) {
				one := mine[k]
				mine[k] = mine[len(mine)-1]
				mine = mine[:len(mine)-1]
				mu.Lock()
				delete(held, one.pos)
				mu.Unlock()
				w.End(one.ordinal)
			}
			for one := range work {
				mine = append(mine, one)
				for len(mine) > 1+rnd.IntN(80) {
					settle(rnd.IntN(len(mine)))
				}
			}
			for len(mine) > 0 {
				settle(0)
			}
		})
	}
	for range 2 {
		watch.Go(func() {
			last := int64(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				low, above := w.Above()
				if low < last {
					t.Errorf("went back from %d to %d", last, low)
				}
				last = low
				mu.Lock()
				for pos := range held {
					if pos < low {
						t.Errorf("%d passed %d, which is open", low, pos)
					}
					for _, iv := range above {
						if iv.From <= pos && pos < iv.To {
							t.Errorf("%d is in %v, and open", pos, iv)
						}
					}
				}
				mu.Unlock()
			}
		})
	}
	pos := int64(0)
	for i := range messages {
		if i%97 == 0 {
			pos += 3
		}
		mu.Lock()
		held[pos] = true
		mu.Unlock()
		work <- open{w.Add(pos), pos}
		pos++
	}
	close(work)
	end.Wait()
	close(done)
	watch.Wait()
	if w.Low() != pos || w.Span() != 0 || w.Misuse() != 0 {
		t.Errorf("low %d, span %d, misuse %d at the end, want %d, 0, 0", w.Low(), w.Span(), w.Misuse(), pos)
	}
}

// Between two messages, when all before have ended, the watermark is that of
// positions rather than of messages: it must not run ahead of a message that is
// being added.
func TestWatermarkDoesNotPassWhatIsBeingAdded(t *testing.T) {
	t.Parallel()
	const messages = 400_000
	w := queue.NewWatermark(0, 100)
	var allowed atomic.Int64 // nothing from here on has ended
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for last := int64(0); ; {
			select {
			case <-done:
				return
			default:
			}
			low := w.Low()
			if most := allowed.Load(); low > most || low < last {
				t.Errorf("low %d after %d, and %d is open", low, last, most)
				return
			}
			last = low
		}
	})
	pos := int64(0)
	for i := range messages {
		if i%3 == 0 {
			allowed.Store(pos + 2)
			pos += 2
		}
		o := w.Add(pos)
		pos++
		allowed.Store(pos)
		w.End(o)
	}
	close(done)
	watch.Wait()
}

func TestWatermarkAtTheEdges(t *testing.T) {
	t.Parallel()
	w := queue.NewWatermark(5, -1)
	for _, o := range []int64{-1, 0, math.MaxInt64, math.MinInt64} {
		w.End(o)
	}
	for _, pos := range []int64{4, -1, math.MaxInt64, math.MinInt64} {
		if got := w.Add(pos); got != -1 {
			t.Errorf("Add(%d) gave ordinal %d", pos, got)
		}
	}
	if w.Low() != 5 || w.Misuse() != 8 {
		t.Errorf("low %d, misuse %d, want 5, 8", w.Low(), w.Misuse())
	}
	o := w.Add(math.MaxInt64 - 1)
	if w.Low() != math.MaxInt64-1 {
		t.Errorf("low %d below the largest position", w.Low())
	}
	w.End(o)
	if w.Low() != math.MaxInt64 {
		t.Errorf("low %d at the largest position", w.Low())
	}
}

// A log in which every second record was compacted away costs a run a message
// while it is held, and nothing afterwards.
func TestWatermarkForgetsRuns(t *testing.T) {
	w := queue.NewWatermark(0, 1000)
	pos := int64(0)
	lap := func() {
		var held []int64
		for range 1000 {
			held = append(held, w.Add(pos))
			pos += 2
		}
		for _, o := range held {
			w.End(o)
		}
		w.Low()
	}
	lap()
	lap()
	if n := testing.AllocsPerRun(50, lap); n > 20 { // the growing of held in the test itself
		t.Errorf("%v allocations a lap of 1,000 messages in steady state", n)
	}
}

func BenchmarkWatermark(b *testing.B) {
	for _, bench := range []struct {
		name string
		step int64
	}{{"contiguous", 1}, {"holes", 2}} {
		b.Run(bench.name, func(b *testing.B) {
			w := queue.NewWatermark(0, 20_000)
			pos := int64(0)
			b.ReportAllocs()
			for i := range b.N {
				w.End(w.Add(pos))
				pos += bench.step
				if i%1000 == 0 {
					w.Low()
				}
			}
		})
	}
	b.Run("above a full span, every second ended", func(b *testing.B) {
		w := queue.NewWatermark(0, 20_000)
		for pos := range int64(20_000) {
			if o := w.Add(pos); o%2 == 1 {
				w.End(o)
			}
		}
		for b.Loop() {
			w.Above()
		}
	})
}
