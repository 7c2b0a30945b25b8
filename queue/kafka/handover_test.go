package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
)

// relay is one partition that passes from owner to owner, cleanly or by force, and
// what is true of it.
type relay struct {
	log    []int64 // the positions that exist
	span   int
	offset int64 // stored by the coordinator
	text   string
	ended  map[int64]bool // flushed and acknowledged, by anybody

	cur  *cursor
	at   int             // index in log of the next message to receive
	open map[int64]int64 // position to ordinal, of this owner
	mine map[int64]bool  // ended under this owner
	past []*cursor       // of earlier owners, who do not all know it
}

// newRelay makes a log with holes: none, some, or so large that no map of many
// intervals fits.
func newRelay(t *rapid.T) *relay {
	r := &relay{span: rapid.SampledFrom([]int{1, 40, 300, 3000}).Draw(t, "span"), ended: map[int64]bool{}}
	hole := rapid.SampledFrom([]int64{0, 1, 30, 1 << 40}).Draw(t, "largest hole")
	every := rapid.IntRange(1, 20).Draw(t, "hole every")
	pos := int64(0)
	for i := range 6000 {
		if i%every == 0 {
			pos += hole
		}
		r.log = append(r.log, pos)
		pos++
	}
	r.own()
	return r
}

// own begins a lease with what the coordinator has.
func (r *relay) own() {
	r.cur = newCursor(logs(r.offset, r.text), r.offset, r.span, time.Time{})
	r.open, r.mine = map[int64]int64{}, map[int64]bool{}
	r.at = 0
	for r.at < len(r.log) && r.log[r.at] < r.offset {
		r.at++
	}
}

// covered says whether the next owner will take a position as ended.
func (r *relay) covered() func(pos int64) bool {
	ended, _ := decodeGaps(r.cur.scope, r.offset, r.text)
	return func(pos int64) bool {
		for len(ended) > 0 && ended[0].To <= pos {
			ended = ended[1:]
		}
		return pos < r.offset || len(ended) > 0 && ended[0].From <= pos
	}
}

// store is the coordinator: it takes a commit and everything is checked that must
// be true then. fits says that all that ended is expected to be in it.
func (r *relay) store(t *rapid.T, m mark, shrinks bool) {
	before := r.covered()
	if m.offset < r.offset {
		t.Fatalf("the offset goes back from %d to %d", r.offset, m.offset)
	}
	if len(m.metadata) > metadataLimit {
		t.Fatalf("%d characters of metadata", len(m.metadata))
	}
	had := make([]bool, len(r.log))
	for i, pos := range r.log {
		had[i] = before(pos)
	}
	r.offset, r.text = m.offset, m.metadata
	after := r.covered()
	for i, pos := range r.log {
		switch has := after(pos); {
		case has && !r.ended[pos]:
			t.Fatalf("%d has not ended and would be passed by offset %d", pos, r.offset)
		case had[i] && !has && !shrinks:
			t.Fatalf("%d was stored as ended, and is not any more with offset %d", pos, r.offset)
		}
	}
}

func (r *relay) receive(t *rapid.T) {
	for range rapid.IntRange(1, 500).Draw(t, "messages") {
		if r.at == len(r.log) || r.cur.mark.Span() >= r.span {
			return
		}
		pos := r.log[r.at]
		r.at++
		o, already := r.cur.received(pos)
		if already {
			if !r.ended[pos] {
				t.Fatalf("%d is passed over and has not ended", pos)
			}
			continue
		}
		r.open[pos] = o
	}
}

func (r *relay) end(t *rapid.T) {
	if len(r.open) == 0 {
		t.Skip("nothing is held")
	}
	step := rapid.IntRange(1, 4).Draw(t, "every")
	from := rapid.IntRange(0, 3).Draw(t, "from")
	i := 0
	for _, pos := range r.log[:r.at] {
		o, ok := r.open[pos]
		if !ok {
			continue
		}
		if i++; i > from && i%step == 0 {
			r.finish(pos, o)
		}
	}
}

// endOld ends the oldest messages held, so that the watermark moves.
func (r *relay) endOld(t *rapid.T) {
	n := rapid.IntRange(1, 100).Draw(t, "oldest")
	for _, pos := range r.log[:r.at] {
		if o, ok := r.open[pos]; ok && n > 0 {
			r.finish(pos, o)
			n--
		}
	}
}

func (r *relay) finish(pos, ordinal int64) {
	r.cur.mark.End(ordinal)
	r.ended[pos], r.mine[pos] = true, true
	delete(r.open, pos)
}

// tick is a commit between times, whose request or answer may be lost.
func (r *relay) tick(t *rapid.T) {
	m, ok := r.cur.due(time.Time{})
	if !ok {
		return
	}
	switch rapid.IntRange(0, 3).Draw(t, "fate") {
	case 0:
		r.cur.stored(m, errors.New("the request was lost"), time.Time{})
	case 1:
		r.store(t, m, false)
		r.cur.stored(m, errors.New("the answer was lost"), time.Time{})
	default:
		r.store(t, m, false)
		r.cur.stored(m, nil, time.Time{})
	}
}

// handOver is a clean one: nothing that has ended is delivered again, as far as it
// fits.
func (r *relay) handOver(t *rapid.T) {
	low, above := r.cur.mark.Above()
	all := union(aboveOf(r.cur.inherited, low), above)
	whole, _ := decodeGaps(r.cur.scope, low, encodeGaps(r.cur.scope, low, all, metadataLimit))
	fits := sum(whole) == sum(all)
	if m, _, ok := r.cur.last(); ok {
		r.store(t, m, !fits)
		r.cur.stored(m, nil, time.Time{})
	}
	r.cur.end()
	r.past = append(r.past, r.cur)
	after := r.covered()
	for _, pos := range r.log {
		if fits && r.mine[pos] && !after(pos) {
			t.Fatalf("%d has ended and comes again after a clean hand-over", pos)
		}
	}
	r.own()
}

func sum(all []queue.Interval) (n int64) {
	for _, iv := range all {
		n += iv.To - iv.From
	}
	return n
}

// refuse is a clean hand-over where the broker takes no map.
func (r *relay) refuse(t *rapid.T) {
	m, _, ok := r.cur.last()
	if ok && m.metadata != "" {
		r.cur.stored(m, kafka.OffsetMetadataTooLarge, time.Time{})
		m, _, ok = r.cur.last()
	}
	if ok {
		if m.metadata != "" {
			t.Fatal("metadata is sent again to a broker that refused it")
		}
		r.store(t, m, true)
	}
	r.cur.end()
	r.past = append(r.past, r.cur)
	r.own()
}

// However a partition goes from owner to owner: no position is committed past a
// message that has not ended, nothing that is stored as ended is forgotten while
// the map fits, no earlier owner commits anything, and in the end all is flushed.
func TestHandOvers(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		r := newRelay(t)
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"receive":   r.receive,
			"receive 2": r.receive,
			"end":       r.end,
			"end 2":     r.end,
			"end old":   r.endOld,
			"end old 2": r.endOld,
			"tick":      r.tick,
			"hand over": r.handOver,
			"refuse":    r.refuse,
			"kill":      func(*rapid.T) { r.own() },
			"lose": func(*rapid.T) {
				r.cur.end()
				r.past = append(r.past, r.cur)
				r.own()
			},
			"": func(t *rapid.T) {
				for _, p := range r.past {
					_, due := p.due(time.Time{})
					if _, _, last := p.last(); due || last {
						t.Fatal("a lease that is over has something to commit")
					}
				}
			},
		}))
		for r.at < len(r.log) || len(r.open) > 0 {
			for r.at < len(r.log) && r.cur.mark.Span() < r.span {
				pos := r.log[r.at]
				r.at++
				if o, already := r.cur.received(pos); !already {
					r.open[pos] = o
				}
			}
			for pos, o := range r.open {
				r.finish(pos, o)
			}
		}
		if m, _, ok := r.cur.last(); ok {
			r.store(t, m, false)
		}
		if want := r.log[len(r.log)-1] + 1; r.offset != want || r.text != "" || len(r.ended) != len(r.log) {
			t.Fatalf("ended at %d with %q and %d of %d messages, want %d", r.offset, r.text, len(r.ended), len(r.log), want)
		}
		if n := r.cur.mark.Misuse(); n != 0 {
			t.Fatalf("misuse %d", n)
		}
	})
}
