package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
)

func TestLegacyMessages(t *testing.T) {
	t.Parallel()
	relative := slices.Concat(
		message(1, 0, 0, 70, []byte("a"), []byte("1")),
		message(1, 0, 3, 71, nil, nil), // 1 and 2 were compacted
		message(1, 0, 4, 72, []byte{}, []byte("3")),
	)
	absolute := slices.Concat(
		message(0, 0, 20, 0, nil, []byte("x")),
		message(0, 0, 22, 0, nil, []byte("y")),
	)
	for c := gzip; c <= lz4; c++ {
		raw := slices.Concat(
			message(0, 0, 3, 0, []byte("k"), []byte("zero")),
			message(1, 0, 4, 60, nil, []byte("one")),
			message(1, int8(c), 10, 99, nil, compressed(c, relative)),
			message(1, int8(c)|appendTimeBit, 15, 99, nil, compressed(c, relative)),
			message(0, int8(c), 22, 0, nil, compressed(c, absolute)),
		)
		want := []Record{
			{Offset: 3, Time: -1, Key: []byte("k"), Value: []byte("zero"), Size: 4},
			{Offset: 4, Time: 60, Value: []byte("one"), Size: 3},
			{Offset: 6, Time: 70, Key: []byte("a"), Value: []byte("1"), Size: 1},
			{Offset: 9, Time: 71},
			{Offset: 10, Time: 72, Key: []byte{}, Value: []byte("3"), Size: 1},
			{Offset: 11, Time: 99, Key: []byte("a"), Value: []byte("1"), Size: 1},
			{Offset: 14, Time: 99},
			{Offset: 15, Time: 99, Key: []byte{}, Value: []byte("3"), Size: 1},
			{Offset: 20, Time: -1, Value: []byte("x"), Size: 1},
			{Offset: 22, Time: -1, Value: []byte("y"), Size: 1},
		}
		for from := int64(3); from < 24; from++ {
			left := want
			for len(left) > 0 && left[0].Offset < from {
				left = left[1:]
			}
			got, res := decoded(new(Decoder), Set{Records: raw, From: from})
			if diff := cmp.Diff(slices.Clone(left), got, equateEmpty); diff != "" {
				t.Fatalf("%v, from %d: %s", c, from, diff)
			}
			next := max(from, 23)
			n := int64(len(left))
			if diff := cmp.Diff(Result{Next: next, Delivered: n, Compacted: next - from - n}, res); diff != "" {
				t.Fatalf("%v, from %d: %s", c, from, diff)
			}
		}
	}
}

func TestLegacyMessagesThatLie(t *testing.T) {
	t.Parallel()
	good := message(1, 0, 2, 60, nil, []byte("good"))
	wrap := func(inner ...[]byte) []byte {
		return message(1, int8(gzip), 9, 0, nil, compressed(gzip, slices.Concat(inner...)))
	}
	in := func(offset int64) []byte { return message(1, 0, offset, 1, nil, []byte("in")) }
	for name, raw := range map[string][]byte{
		"key too long":            legacyRaw(in(3), func(b []byte) { b[legacyBody+8+3] = 99 }),
		"key length -2":           legacyRaw(in(3), func(b []byte) { b[legacyBody+8+3] = 0xfe }),
		"value too short":         legacyRaw(in(3), func(b []byte) { b[legacyBody+8+4+3] = 1 }),
		"no value to decompress":  message(1, int8(gzip), 9, 0, nil, nil),
		"nothing inside":          wrap(),
		"inner cut short":         wrap(in(0), in(1)[:30]),
		"inner size":              wrap(legacyRaw(in(0), func(b []byte) { b[atSize+3] = 3 })),
		"inner size negative":     wrap(legacyRaw(in(0), func(b []byte) { b[atSize] = 0xff })),
		"inner offset negative":   wrap(in(-1)),
		"inner offsets fall":      wrap(in(4), in(3), in(5)),
		"inner offsets twice":     wrap(in(4), in(4)),
		"inner before the log":    wrap(in(0), in(20)),
		"inner of magic 2":        wrap(legacyRaw(in(0), func(b []byte) { b[atMagic] = 2 })),
		"inner compressed":        wrap(message(1, int8(gzip), 0, 0, nil, compressed(gzip, in(0)))),
		"inner key too long":      wrap(legacyRaw(in(0), func(b []byte) { b[legacyBody+8+3] = 99 })),
		"inner shorter than head": wrap(legacyRaw(message(0, 0, 0, 0, nil, nil), func(b []byte) { b[atMagic] = 1 })),
	} {
		got, res := decoded(new(Decoder), Set{Records: append(slices.Clone(good), raw...), From: 2})
		var e *Error
		if !errors.As(res.Err, &e) || !errors.Is(e, ErrMalformed) || e.Offset != res.Next || len(got) == 0 || string(got[0].Value) != "good" {
			t.Errorf("%s: %d records, %+v", name, len(got), res)
		}
	}
	if _, res := decoded(new(Decoder), Set{Records: message(1, 0, -4, 60, nil, nil)}); !errors.Is(res.Err, ErrMalformed) || res.Next != 0 {
		t.Errorf("negative offset: %+v", res)
	}
	_, res := decoded(&Decoder{Max: 100}, Set{Records: wrap(message(1, 0, 0, 0, nil, make([]byte, 200)), in(1))})
	var e *Error
	if !errors.As(res.Err, &e) || !errors.Is(e, ErrTooLarge) || e.Past != 9 {
		t.Errorf("%+v", res)
	}
}

// legacyRaw changes a message and gives it the checksum that it then has.
func legacyRaw(m []byte, change func([]byte)) []byte {
	change(m)
	return sealedLegacy(m)
}

// What kafka-go writes in magic 1.
func TestLegacyOfKafkaGo(t *testing.T) {
	t.Parallel()
	for _, attrs := range []protocol.Attributes{0, protocol.Gzip, protocol.Snappy} {
		var recs []protocol.Record
		for range 3 {
			recs = append(recs, protocol.Record{Time: time.UnixMilli(123), Key: protocol.NewBytes([]byte("k")), Value: protocol.NewBytes([]byte("v"))})
		}
		set := protocol.RecordSet{Version: 1, Attributes: attrs, Records: protocol.NewRecordReader(recs...)}
		var out bytes.Buffer
		if _, err := set.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		raw := out.Bytes()[4:]
		if attrs != 0 { // a broker gives the outer message the offset of the last
			raw[7] = 2
		}
		got, res := decoded(new(Decoder), Set{Records: raw})
		if res.Err != nil || len(got) != 3 || got[2].Offset != 2 || got[2].Time != 123 || string(got[1].Value) != "v" {
			t.Errorf("%v: %+v %+v", attrs, got, res)
		}
	}
}
