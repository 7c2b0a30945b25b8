package record

import (
	"errors"
	"slices"
	"testing"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// FuzzSet feeds bytes as they come: no panic, no endless loop, and whatever comes
// out is in order and adds up.
func FuzzSet(f *testing.F) {
	raws, _ := samples()
	f.Add(slices.Concat(raws...), int64(0), int64(9))
	for _, raw := range raws {
		f.Add(raw, int64(0), int64(-1))
		f.Add(raw[:len(raw)-1], int64(7), int64(-1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, from, producer int64) { check(t, raw, from, producer) })
}

// FuzzRecords feeds bytes as the records of a batch whose checksum is right, so
// that the parser behind the checksum and the codecs is reached.
func FuzzRecords(f *testing.F) {
	good := batchFor(0, 0, rec{0, 1, []byte("k"), []byte("value"), []Header{{[]byte("h"), nil}}}, rec{delta: 3}).body
	for c := none; c <= 7; c++ {
		f.Add(compressed(c, good), int16(c), int32(2), int32(3))
	}
	f.Add(marker(0, 1, false).body, int16(transactional|controlBit), int32(1), int32(0))
	f.Add([]byte{}, int16(0), int32(0), int32(5))
	f.Fuzz(func(t *testing.T, body []byte, attrs int16, count, delta int32) {
		b := batchOf{base: 5, delta: delta, count: count, body: body, producer: 1}
		raw := b.bytes()
		raw[atAttrs], raw[atAttrs+1] = byte(attrs>>8), byte(attrs)
		check(t, sealed(raw), 5, 1)
	})
}

// FuzzLegacy feeds bytes as what a compressed message of magic 0 or 1 holds.
func FuzzLegacy(f *testing.F) {
	inner := slices.Concat(message(1, 0, 0, 7, nil, []byte("in")), message(0, 0, 2, 8, []byte{}, nil))
	for c := none; c <= 7; c++ {
		f.Add(compressed(c, inner), int8(c), true)
		f.Add(compressed(c, inner), int8(c), false)
	}
	f.Fuzz(func(t *testing.T, value []byte, attrs int8, one bool) {
		magic := int8(0)
		if one {
			magic = 1
		}
		check(t, message(magic, attrs, 9, 1, nil, value), 0, 1)
	})
}

func check(t *testing.T, raw []byte, from, producer int64) {
	set := Set{Records: slices.Clone(raw), From: max(from, 0), Aborted: []wire.AbortedTransaction{{ProducerID: producer, FirstOffset: 0}}}
	next, n := set.From, int64(0)
	d := Decoder{Max: 4 << 10}
	res := d.Decode(set, func(r *Record) bool {
		if r.Offset < next {
			t.Fatalf("offset %d after %d", r.Offset, next)
		}
		next = r.Offset + 1
		n++
		if r.Wrapped && int64(len(r.Value)) > d.Max {
			t.Fatalf("%d bytes", len(r.Value))
		}
		return true
	})
	var e *Error
	if res.Err != nil && (!errors.As(res.Err, &e) || e.Offset != res.Next || e.Past != 0 && e.Past <= e.Offset || e.Error() == "") {
		t.Fatalf("%+v", res)
	}
	if res.Err != nil && !errors.Is(e, ErrMalformed) && !errors.Is(e, ErrChecksum) && !errors.Is(e, ErrTooLarge) && !errors.Is(e, ErrUnsupported) {
		t.Fatalf("no class: %v", e)
	}
	if res.Next < next || n != res.Delivered || res.Next-set.From != n+res.Control+res.Aborted+res.Compacted {
		t.Fatalf("%+v, %d records", res, n)
	}
	if res.Need != 0 && (res.Next != set.From || res.Need <= int64(len(raw))) {
		t.Fatalf("%+v of %d bytes", res, len(raw))
	}
	if string(raw) != string(set.Records) {
		t.Fatal("the set was changed")
	}
}
