package record

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// drawn is a log as a broker may hold it, with what a reader has to make of it.
type drawn struct {
	raw      []byte
	ends     []int // where each batch ends in raw
	lasts    []int64
	aborted  []wire.AbortedTransaction
	records  []Record       // committed and uncommitted, at their offsets
	isGone   map[int64]bool // of aborted transactions
	isMarker map[int64]bool
}

var fields = rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 40), rapid.Just(make([]byte, 3000)))

func draw(t *rapid.T) *drawn {
	l := &drawn{isGone: map[int64]bool{}, isMarker: map[int64]bool{}}
	next := rapid.Int64Range(0, 1<<40).Draw(t, "first")
	inTxn := map[int64]bool{} // producer -> will abort
	for range rapid.IntRange(0, 12).Draw(t, "batches") {
		next += rapid.Int64Range(0, 3).Draw(t, "hole")
		producer := rapid.Int64Range(1, 3).Draw(t, "producer")
		abort, open := inTxn[producer]
		if open && rapid.Bool().Draw(t, "ends") {
			l.add(marker(next, producer, !abort))
			l.isMarker[next] = true
			delete(inTxn, producer)
			next++
			continue
		}
		in := rapid.Bool().Draw(t, "transactional") || open
		if in && !open {
			abort = rapid.Bool().Draw(t, "abort")
			inTxn[producer] = abort
			if abort {
				l.aborted = append(l.aborted, wire.AbortedTransaction{ProducerID: producer, FirstOffset: next})
			}
		}
		next = l.batch(t, next, producer, in, in && abort)
	}
	return l
}

// batch adds a batch of data and returns the offset behind it.
func (l *drawn) batch(t *rapid.T, base, producer int64, in, abort bool) int64 {
	attrs := int16(rapid.IntRange(0, 4).Draw(t, "codec"))
	if in {
		attrs |= transactional
	}
	byBroker := rapid.Bool().Draw(t, "append time")
	if byBroker {
		attrs |= appendTimeBit
	}
	times := rapid.Int64Range(-1, 1<<42)
	var recs []rec
	delta := int64(0)
	for range rapid.IntRange(0, 6).Draw(t, "records") {
		r := rec{delta: delta, time: rapid.Int64Range(-1e6, 1e6).Draw(t, "time"), key: fields.Draw(t, "key"), value: fields.Draw(t, "value")}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.headers = append(r.headers, Header{append([]byte{}, fields.Draw(t, "name")...), fields.Draw(t, "header")})
		}
		recs = append(recs, r)
		delta += rapid.Int64Range(1, 3).Draw(t, "step")
	}
	b := batchFor(base, attrs, recs...)
	b.producer, b.baseTime, b.maxTime = producer, times.Draw(t, "base time"), times.Draw(t, "max time")
	b.delta = int32(delta) + rapid.Int32Range(0, 2).Draw(t, "tail")
	for _, r := range recs {
		out := Record{Offset: base + r.delta, Time: b.baseTime + r.time, Key: r.key, Value: r.value, Headers: r.headers, Size: int64(len(r.value))}
		if byBroker {
			out.Time = b.maxTime
		}
		l.records = append(l.records, out)
		l.isGone[out.Offset] = abort
	}
	l.add(b)
	return base + int64(b.delta) + 1
}

func (l *drawn) add(b batchOf) {
	l.raw = append(l.raw, b.bytes()...)
	l.ends = append(l.ends, len(l.raw))
	l.lasts = append(l.lasts, b.base+int64(b.delta))
}

// Whatever the log holds, wherever reading begins, wherever the answer is cut and
// whenever the caller stops: what comes out is what was written, in order, and
// the counts add up.
func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := draw(t)
		committed := rapid.Bool().Draw(t, "read committed")
		from := int64(0)
		if len(l.lasts) > 0 {
			from = rapid.Int64Range(max(l.lasts[0]-5, 0), l.lasts[len(l.lasts)-1]+2).Draw(t, "from")
		}
		cut := rapid.IntRange(0, len(l.raw)).Draw(t, "cut")
		to := int64(math.MaxInt64)
		if rapid.Bool().Draw(t, "ends") {
			to = from + rapid.Int64Range(1, 60).Draw(t, "length")
		}
		whole := 0
		next := from
		for whole < len(l.ends) && l.ends[whole] <= cut {
			next = min(max(next, l.lasts[whole]+1), to)
			whole++
		}
		set := Set{Records: l.raw[:cut], From: from, To: to}
		var want []Record
		for _, r := range l.records {
			if r.Offset >= from && r.Offset < next && !(committed && l.isGone[r.Offset]) {
				want = append(want, r)
			}
		}
		if committed {
			set.Aborted = rapid.Permutation(l.aborted).Draw(t, "aborted")
		}
		res, got := inSteps(t, set)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if res.Err != nil || res.Next != next {
			t.Fatalf("%+v, want next %d", res, next)
		}
		markers := int64(0)
		for o := range l.isMarker {
			if o >= from && o < next {
				markers++
			}
		}
		if sum := res.Delivered + res.Control + res.Aborted + res.Compacted; sum != next-from || res.Control != markers {
			t.Fatalf("%+v: counts of %d offsets, %d markers", res, next-from, markers)
		}
	})
}

// inSteps decodes a set, stopping and going on at random.
func inSteps(t *rapid.T, s Set) (sum Result, got []Record) {
	for {
		steps := rapid.IntRange(1, 20).Draw(t, "steps")
		var part []Record
		stopped := false
		res := new(Decoder).Decode(s, func(r *Record) bool {
			part = append(part, copied(r))
			stopped = len(part) == steps
			return !stopped
		})
		got = slices.Concat(got, part)
		sum.Delivered += res.Delivered
		sum.Control += res.Control
		sum.Aborted += res.Aborted
		sum.Compacted += res.Compacted
		sum.Next, sum.Err = res.Next, res.Err
		if !stopped || res.Err != nil {
			return sum, got
		}
		s.From = res.Next
	}
}
