package record

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryCodec(t *testing.T) {
	t.Parallel()
	for c := none; c <= zstandard; c++ {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			b := batchFor(
				100, int16(c),
				rec{0, 5, []byte("k"), []byte("first"), []Header{{[]byte("h"), []byte("v")}, {[]byte(""), nil}}},
				rec{1, 6, nil, nil, nil},
				rec{4, 7, []byte{}, make([]byte, 300_000), nil},
			)
			b.baseTime = 1000
			got, res := decoded(new(Decoder), Set{Records: b.bytes(), From: 100})
			want := []Record{
				{Offset: 100, Time: 1005, Key: []byte("k"), Value: []byte("first"), Size: 5, Headers: []Header{{[]byte("h"), []byte("v")}, {[]byte{}, nil}}},
				{Offset: 101, Time: 1006},
				{Offset: 104, Time: 1007, Key: []byte{}, Value: make([]byte, 300_000), Size: 300_000},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(Result{Next: 105, Delivered: 3, Compacted: 2}, res); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Everything that may be asked about one answer, in one: below From, holes inside
// and between batches, an emptied batch, and the last one cut short.
func TestHoles(t *testing.T) {
	t.Parallel()
	empty := batchOf{base: 20, delta: 4, producer: 3}
	raw := slices.Concat(
		batchFor(0, 0, rec{delta: 0}, rec{delta: 9}).bytes(), // wholly below
		batchFor(10, 0, rec{delta: 1}, rec{delta: 3}, rec{delta: 6}).bytes(),
		empty.bytes(),
		batchFor(30, 0, rec{delta: 0}).bytes(),
		batchFor(31, 0, rec{delta: 0}).bytes()[:40],
	)
	uncut := int64(len(raw)-40) + int64(len(batchFor(31, 0, rec{}).bytes()))
	for _, c := range []struct {
		from int64
		want []int64
		res  Result
	}{
		{12, []int64{13, 16, 30}, Result{Next: 31, Delivered: 3, Compacted: 16}},
		{14, []int64{16, 30}, Result{Next: 31, Delivered: 2, Compacted: 15}},
		{17, []int64{30}, Result{Next: 31, Delivered: 1, Compacted: 13}},
		{24, []int64{30}, Result{Next: 31, Delivered: 1, Compacted: 6}},
		{31, nil, Result{Next: 31, Need: uncut}},
		{99, nil, Result{Next: 99, Need: uncut}},
	} {
		got, res := decoded(new(Decoder), Set{Records: raw, From: c.from})
		if diff := cmp.Diff(c.want, offsets(got)); diff != "" {
			t.Errorf("from %d: %s", c.from, diff)
		}
		if diff := cmp.Diff(c.res, res); diff != "" {
			t.Errorf("from %d: %s", c.from, diff)
		}
	}
}

func TestASetThatEndsWithNothingToHandOutMovesOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		raw  []byte
		want Result
	}{
		"nothing at all":  {nil, Result{Next: 7}},
		"emptied batch":   {batchOf{base: 7, delta: 2}.bytes(), Result{Next: 10, Compacted: 3}},
		"emptied, gzip":   {batchOf{base: 7, delta: 2, attrs: int16(gzip)}.bytes(), Result{Next: 10, Compacted: 3}},
		"marker":          {marker(7, 1, false).bytes(), Result{Next: 8, Control: 1}},
		"hole and marker": {marker(9, 1, true).bytes(), Result{Next: 10, Control: 1, Compacted: 2}},
	} {
		got, res := decoded(new(Decoder), Set{Records: c.raw, From: 7})
		if diff := cmp.Diff(c.want, res); diff != "" || len(got) > 0 {
			t.Errorf("%s: %d records; %s", name, len(got), diff)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	b := batchFor(0, appendTimeBit, rec{delta: 0, time: 3}, rec{delta: 1, time: -4})
	b.baseTime, b.maxTime = 1000, 5000
	horizon := b
	horizon.attrs = 1 << 6 // the base is the delete horizon then; the times still count from it
	got, _ := decoded(new(Decoder), Set{Records: b.bytes()})
	more, _ := decoded(new(Decoder), Set{Records: horizon.bytes()})
	var times []int64
	for _, r := range append(got, more...) {
		times = append(times, r.Time)
	}
	if diff := cmp.Diff([]int64{5000, 5000, 1003, 996}, times); diff != "" {
		t.Error(diff)
	}
}

func TestStopAndGoOn(t *testing.T) {
	t.Parallel()
	for c := none; c <= zstandard; c++ {
		raw := slices.Concat(
			batchFor(0, int16(c), rec{delta: 0}, rec{delta: 2}, rec{delta: 3}).bytes(),
			batchFor(5, int16(c), rec{delta: 0}, rec{delta: 1}).bytes(),
		)
		var got []int64
		var sum Result
		for from := int64(0); from < 7; {
			res := new(Decoder).Decode(Set{Records: raw, From: from}, func(r *Record) bool {
				got = append(got, r.Offset)
				return false
			})
			if res.Err != nil || res.Next <= from {
				t.Fatalf("%v: from %d: %+v", c, from, res)
			}
			from = res.Next
			sum.Delivered += res.Delivered
			sum.Compacted += res.Compacted
		}
		if diff := cmp.Diff([]int64{0, 2, 3, 5, 6}, got); diff != "" {
			t.Errorf("%v: %s", c, diff)
		}
		if sum.Delivered != 5 || sum.Compacted != 2 {
			t.Errorf("%v: %+v", c, sum)
		}
	}
}

func offsets(rs []Record) (out []int64) {
	for _, r := range rs {
		out = append(out, r.Offset)
	}
	return out
}
