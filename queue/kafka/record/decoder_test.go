package record

import (
	"fmt"
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
	_, res := decoded(new(Decoder), Set{Records: batchFor(0, 5, rec{}).bytes()})
	if got, want := fmt.Sprint(res.Err), "couldn't read offset 0 (batch at 0, codec 5): codec 5: not supported (0 to 4 are)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
