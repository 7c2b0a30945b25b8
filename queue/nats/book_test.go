package nats

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/steps"
)

// heldMessage is a message as the model of the book knows it.
type heldMessage struct {
	r      *record
	reply  string
	marked time.Time
	ended  string // "", released or acked
	under  uint32 // generation in which it was acknowledged
}

// Messages come in any order, come again, are acknowledged under one connection or the
// next and given back. The book knows each that is held or whose acknowledgement the
// server may not have; marks of life name what is held, with its newest reply, and none
// twice in a while; and what ended is known for a while after the book let it go.
func TestTheBook(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		b := newBook()
		now := time.Unix(1000, 0)
		all := map[uint64]*heldMessage{}
		generation, safe := uint32(1), uint32(1)
		some := func(t *rapid.T, which func(*heldMessage) bool) *heldMessage {
			var fit []uint64
			for seq, m := range all {
				if which(m) {
					fit = append(fit, seq)
				}
			}
			if len(fit) == 0 {
				t.Skip("there is none")
			}
			slices.Sort(fit)
			return all[rapid.SampledFrom(fit).Draw(t, "sequence")]
		}
		open := func(m *heldMessage) bool { return m.ended == "" }
		replies := func(which func(*heldMessage) bool) []string {
			var want []string
			for _, m := range all {
				if which(m) {
					want = append(want, m.reply)
				}
			}
			return slices.Sorted(slices.Values(want))
		}
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "messages") {
					seq := rapid.Uint64Range(1, 2000).Draw(t, "sequence")
					if all[seq] != nil { // swallow sees to it that a known one is not added
						continue
					}
					r := &record{seq: seq, stored: int64(seq), reply: fmt.Sprint("first ", seq), marked: clock.Of(now)}
					b.add(r)
					all[seq] = &heldMessage{r: r, reply: r.reply, marked: now}
				}
			},
			"come again": func(t *rapid.T) {
				m := some(t, open)
				m.reply = fmt.Sprint("again ", now.UnixNano(), m.r.seq)
				again := m.reply
				b.find(m.r.seq).newer.Store(&again)
			},
			"acknowledge": func(t *rapid.T) {
				m := some(t, open)
				m.ended, m.under = "acked", generation
				m.r.state.Store(generation<<stateBits | stateAcked)
			},
			"release": func(t *rapid.T) {
				m := some(t, open)
				m.ended = "released"
				m.r.state.Store(stateReleased)
			},
			"reconnect": func(*rapid.T) { generation++ },
			"confirm":   func(*rapid.T) { safe = generation + 1; generation++ },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			},
			"mark": func(t *rapid.T) {
				before := now.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(t, "not for ms")) * time.Millisecond)
				want := replies(func(m *heldMessage) bool { return open(m) && !m.marked.After(before) })
				if got := slices.Sorted(slices.Values(b.due(before, now))); !slices.Equal(got, want) {
					t.Fatalf("marks for %q, want %q", got, want)
				}
				for _, m := range all {
					if open(m) && !m.marked.After(before) {
						m.marked = now
					}
				}
			},
			"sweep": func(t *rapid.T) {
				b.sweep(safe, now)
				for seq, m := range all {
					if m.ended != "acked" || m.under >= safe {
						continue
					}
					if known, other := b.ended.has(seq, m.r.stored); !known || other {
						t.Fatalf("%d was acknowledged and is known %v, another one %v", seq, known, other)
					}
				}
				maps.DeleteFunc(all, func(_ uint64, m *heldMessage) bool {
					return m.ended == "released" || m.ended == "acked" && m.under < safe
				})
				if n := len(b.line) + len(b.odd); n != len(all) {
					t.Fatalf("the book keeps %d messages, want %d", n, len(all))
				}
			},
			"": func(t *rapid.T) {
				for seq, m := range all {
					if b.find(seq) != m.r {
						t.Fatalf("%d is not found", seq)
					}
				}
				want := replies(func(m *heldMessage) bool { return m.ended == "acked" && m.under >= safe })
				if got := slices.Sorted(slices.Values(b.unsafe(safe))); !slices.Equal(got, want) {
					t.Fatalf("unsafe are %q, want %q", got, want)
				}
				var oldest time.Time
				for seq, m := range all {
					if at := time.Unix(0, int64(seq)); open(m) && (oldest.IsZero() || at.Before(oldest)) {
						oldest = at
					}
				}
				if got := b.oldest(); !got.Equal(oldest) {
					t.Fatalf("the oldest is of %v, want %v", got, oldest)
				}
			},
		}))
	})
}
