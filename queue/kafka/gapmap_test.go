package kafka

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
)

type ivs = []queue.Interval

// someEnded draws intervals above an offset: dense, sparse, short and long.
func someEnded(t *rapid.T, offset int64) ivs {
	var all ivs
	at := offset
	most := rapid.SampledFrom([]int64{1, 3, 100, 1_000_000}).Draw(t, "longest")
	for range rapid.IntRange(0, 4000).Draw(t, "intervals") {
		at += rapid.Int64Range(1, most).Draw(t, "open")
		to := at + rapid.Int64Range(1, most).Draw(t, "ended")
		all = append(all, queue.Interval{From: at, To: to})
		at = to
	}
	return all
}

// prefixOf says whether part is what all holds below some position.
func prefixOf(part, all ivs) bool {
	for i, iv := range part {
		if i >= len(all) || iv.From != all[i].From || iv.To > all[i].To || iv.To < all[i].To && i < len(part)-1 {
			return false
		}
	}
	return true
}

func TestGapMapComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.Int64Range(0, math.MaxInt64/2).Draw(t, "offset")
		ended := someEnded(t, offset)
		limit := rapid.SampledFrom([]int{0, 12, 20, 100, 1000, metadataLimit}).Draw(t, "limit")
		text := encodeGaps("c/logs[3]", offset, ended, limit)
		if len(text) > limit {
			t.Fatalf("%d characters, at most %d", len(text), limit)
		}
		if text == "" {
			if len(ended) > 0 && limit >= 100 {
				t.Fatalf("%d intervals and no map", len(ended))
			}
			return
		}
		got, ok := decodeGaps("c/logs[3]", offset, text)
		if !ok || !prefixOf(got, ended) {
			t.Fatalf("%q came back as %v (%v), which does not begin %v", text, got, ok, ended)
		}
		if total(ended) <= 10 && limit == metadataLimit && !cmp.Equal(got, ended) {
			t.Fatalf("%v came back as %v", ended, got)
		}
	})
}

func total(all ivs) (n int64) {
	for _, iv := range all {
		n += iv.To - iv.From
	}
	return n
}

// Whatever has ended within the default span fits, in a log without holes.
func TestGapMapHoldsAWholeSpan(t *testing.T) {
	t.Parallel()
	span := int64(DefaultConfig().Span)
	for name, ends := range map[string]func(at int64) bool{
		"every second": func(at int64) bool { return at%2 == 1 },
		"all but one":  func(at int64) bool { return at > 0 },
		"by thirds":    func(at int64) bool { return at%3 != 0 },
		"scattered":    func(at int64) bool { return at > 0 && at*2654435761%97 < 40 },
		"the last":     func(at int64) bool { return at == span-1 },
	} {
		var ended ivs
		for at := range span {
			switch {
			case !ends(at):
			case len(ended) > 0 && ended[len(ended)-1].To == 7+at:
				ended[len(ended)-1].To++
			default:
				ended = append(ended, queue.Interval{From: 7 + at, To: 8 + at})
			}
		}
		got, ok := decodeGaps("s", 7, encodeGaps("s", 7, ended, metadataLimit))
		if diff := cmp.Diff(ended, got); !ok || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%.300s", name, ok, diff)
		}
	}
}

func TestGapMapSaysNothingElsewhere(t *testing.T) {
	t.Parallel()
	text := encodeGaps("c/logs[3]", 100, ivs{{From: 105, To: 110}}, metadataLimit)
	if _, ok := decodeGaps("c/logs[3]", 100, text); !ok {
		t.Fatalf("%q is not read in its own place", text)
	}
	flipped := []byte(text)
	flipped[len(flipped)-2] ^= 1
	for name, read := range map[string]struct {
		scope    string
		offset   int64
		metadata string
	}{
		"another offset":    {"c/logs[3]", 99, text},
		"another partition": {"c/logs[4]", 100, text},
		"another cluster":   {"d/logs[3]", 100, text},
		"cut short":         {"c/logs[3]", 100, text[:len(text)-1]},
		"longer":            {"c/logs[3]", 100, text + "A"},
		"damaged":           {"c/logs[3]", 100, string(flipped)},
		"a later version":   {"c/logs[3]", 100, strings.Replace(text, "/1:", "/2:", 1)},
		"another program's": {"c/logs[3]", 100, "sarama@host-7"},
		"empty":             {"c/logs[3]", 100, ""},
		"only the marker":   {"c/logs[3]", 100, gapMarker},
		"huge":              {"c/logs[3]", 100, gapMarker + strings.Repeat("A", 1<<20)},
	} {
		if got, ok := decodeGaps(read.scope, read.offset, read.metadata); ok || got != nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}

// sealed is metadata around any body with a check that fits.
func sealed(scope string, offset int64, form byte, body []byte) string {
	sum := binary.BigEndian.AppendUint32(nil, gapSum(scope, offset, form, body))
	return gapMarker + base64.RawStdEncoding.EncodeToString(slices.Concat(sum, []byte{form}, body))
}

// Bytes that pass the check and are not from encodeGaps give ascending intervals
// above the offset, few enough, or nothing.
func FuzzGapMap(f *testing.F) {
	f.Add(int64(0), gapRuns, []byte{1, 1, 0, 5})
	f.Add(int64(7), gapBits, []byte{3, 0xa5, 0xff})
	f.Add(int64(math.MaxInt64-3), gapRuns, []byte{1, 2, 3, 4})
	f.Add(int64(math.MaxInt64-9), gapBits, []byte{0, 255, 255, 255})
	f.Add(int64(math.MaxInt64-60), gapRuns, []byte{48, 2, 3, 4})
	f.Add(int64(5), gapRuns, binary.AppendUvarint(nil, math.MaxUint64))
	f.Add(int64(5), byte('z'), []byte{})
	f.Fuzz(func(t *testing.T, offset int64, form byte, body []byte) {
		offset &= math.MaxInt64
		got, ok := decodeGaps("s", offset, sealed("s", offset, form, body))
		if ok != (len(got) > 0) || len(got) > 12_000 {
			t.Fatalf("%v with %d intervals", ok, len(got))
		}
		at := offset
		for i, iv := range got {
			if iv.From < at || iv.To <= iv.From {
				t.Fatalf("interval %d is %v, after %d", i, iv, at)
			}
			at = iv.To
		}
		if !ok {
			return
		}
		again, ok := decodeGaps("s", offset, encodeGaps("s", offset, union(got, nil), metadataLimit))
		if !ok || !prefixOf(again, union(got, nil)) {
			t.Fatalf("%v came back as %v (%v)", got, again, ok)
		}
	})
}

func FuzzForeignMetadata(f *testing.F) {
	f.Add("")
	f.Add(gapMarker + "AAAAAHIBAQ")
	f.Add(encodeGaps("s", 5, ivs{{From: 6, To: 9}}, metadataLimit))
	f.Fuzz(func(t *testing.T, metadata string) {
		if got, ok := decodeGaps("s", 5, metadata); ok != (len(got) > 0) {
			t.Fatalf("%q: %v, %v", metadata, got, ok)
		}
	})
}

func BenchmarkGapMap(b *testing.B) {
	var ended ivs
	for at := int64(1); at < 20_000; at += 2 {
		ended = append(ended, queue.Interval{From: at, To: at + 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		encodeGaps("s", 0, ended, metadataLimit)
	}
}
