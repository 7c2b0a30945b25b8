package letterbox

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// What a mark says of a letter's records is read back, and covers those and no others.
func TestAMarkNamesExactlyItsRecords(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.SliceOfN(rapid.Int64Range(0, 30), 1, 20).Draw(t, "offsets")
		l := &queue.Letter{}
		for _, n := range at {
			l.Places = append(l.Places, queue.Place{Part: "p-7", Position: n})
		}
		m := markOf(wire.TopicPartition{Topic: "p", Partition: 7}, "id", l)
		one, ok := parseMark(&m)
		if !ok || one.partition != 7 || one.last() != slices.Max(at) || !one.covers(l) {
			t.Fatalf("%s is read as %+v, %v", m.Value, one, ok)
		}
		for n := range int64(32) {
			other := &queue.Letter{Places: []queue.Place{{Part: "p-7", Position: n}}}
			if one.covers(other) != slices.Contains(at, n) {
				t.Fatalf("%s says %v of %d", m.Value, one.covers(other), n)
			}
		}
	})
}

// What lies below a cut is resolved, no letter lies on both sides, and the cut is as high
// as that allows.
func TestACutPartsNoLetter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := &pile{span: &span{end: 40}}
		type one struct {
			run
			open bool
		}
		var all []one
		for range rapid.IntRange(0, 12).Draw(t, "letters") {
			from := rapid.Int64Range(0, 39).Draw(t, "from")
			to := rapid.Int64Range(from, 39).Draw(t, "to")
			l := &queue.Letter{Places: []queue.Place{{Position: from}, {Position: to}}}
			all = append(all, one{run{from, to}, rapid.IntRange(0, 4).Draw(t, "open") == 0})
			p.add(l, !all[len(all)-1].open)
		}
		fits := func(cut int64) bool {
			return !slices.ContainsFunc(all, func(o one) bool { return o.from < cut && (o.open || o.to >= cut) })
		}
		want := int64(40)
		for !fits(want) {
			want--
		}
		if got := p.cut(); got != want {
			t.Fatalf("cut at %d, want %d: %+v", got, want, all)
		}
	})
}
