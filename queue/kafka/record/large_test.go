package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/segmentio/kafka-go/compress"
)

func TestARecordAboveMaxComesWrapped(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	noise := make([]byte, 50_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	huge := bytes.Repeat(append(slices.Clone(noise), strings.Repeat("log", 10_000)...), 3) // 240 KB, larger than the stream's window
	for c := gzip; c <= zstandard; c++ {
		b := batchFor(
			10, int16(c),
			rec{0, 1, []byte("a"), []byte("before"), nil},
			rec{1, 2, []byte("key"), huge, []Header{{[]byte("h"), []byte("v")}}},
			rec{3, 3, nil, huge[:most-200], nil}, // below, with all that is around it
			rec{4, 4, nil, huge, nil},
			rec{5, 5, []byte{}, []byte("after"), nil},
		)
		got, res := decoded(&Decoder{Max: most}, Set{Records: b.bytes(), From: 10})
		if diff := cmp.Diff(Result{Next: 16, Delivered: 5, Compacted: 1}, res); diff != "" {
			t.Fatalf("%v: %s", c, diff)
		}
		for i := range got {
			r := &got[i]
			if r.Wrapped != (i == 1 || i == 3) {
				t.Fatalf("%v: record %d: wrapped %v", c, i, r.Wrapped)
			}
			if r.Wrapped {
				if int64(len(huge)) != r.Size || len(r.Value) > most {
					t.Errorf("%v: record %d: size %d in %d bytes", c, i, r.Size, len(r.Value))
				}
				r.Value = unzstd(t, r.Value)
			}
		}
		want := []Record{
			{Offset: 10, Time: 1, Key: []byte("a"), Value: []byte("before"), Size: 6},
			{Offset: 11, Time: 2, Key: []byte("key"), Value: huge, Size: int64(len(huge)), Wrapped: true, Headers: []Header{{[]byte("h"), []byte("v")}}},
			{Offset: 13, Time: 3, Value: huge[:most-200], Size: most - 200},
			{Offset: 14, Time: 4, Value: huge, Size: int64(len(huge)), Wrapped: true},
			{Offset: 15, Time: 5, Key: []byte{}, Value: []byte("after"), Size: 5},
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(same)); diff != "" {
			t.Errorf("%v: %s", c, diff)
		}
		got, res = decoded(&Decoder{Max: most}, Set{Records: b.bytes(), From: 15})
		if res.Err != nil || len(got) != 1 {
			t.Errorf("%v: past the large ones: %d records, %+v", c, len(got), res)
		}
	}
	plain := batchFor(0, 0, rec{value: huge})
	got, _ := decoded(&Decoder{Max: most}, Set{Records: plain.bytes()})
	if len(got) != 1 || got[0].Wrapped || !bytes.Equal(got[0].Value, huge) {
		t.Error("a large record of an uncompressed batch did not come as it is")
	}
}

// What cannot be held even compressed is an error that names the offset to go on
// at; what follows it can be read from there.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	noise := make([]byte, 200_000)
	_, _ = rand.NewChaCha8([32]byte{2}).Read(noise)
	for name, c := range map[string]struct {
		large rec
		want  string
	}{
		"value":   {rec{1, 0, nil, noise, nil}, "a value that has more than 65536 bytes even compressed"},
		"key":     {rec{1, 0, make([]byte, 100_000), nil, nil}, "a key of 100000 bytes (at most 8192)"},
		"headers": {rec{1, 0, nil, nil, []Header{{make([]byte, 100_000), nil}}}, "headers of 100005 bytes (at most 8192)"},
	} {
		for k := gzip; k <= zstandard; k++ {
			raw := batchFor(10, int16(k), rec{}, c.large, rec{delta: 2, value: []byte("next")}).bytes()
			_, res := decoded(&Decoder{Max: most}, Set{Records: raw, From: 10})
			var e *Error
			if !errors.As(res.Err, &e) || !errors.Is(e, ErrTooLarge) || e.Offset != 11 || e.Past != 12 || !strings.Contains(e.Error(), c.want) {
				t.Errorf("%v, %s: %+v", k, name, res)
				continue
			}
			got, res := decoded(&Decoder{Max: most}, Set{Records: raw, From: e.Past})
			if res.Err != nil || len(got) != 1 || string(got[0].Value) != "next" {
				t.Errorf("%v, %s, gone on: %+v", k, name, res)
			}
		}
	}
}

func TestOversizeRecordsThatLie(t *testing.T) {
	t.Parallel()
	const most = 1 << 10
	filler := make([]byte, 8<<10)
	for name, body := range map[string][]byte{
		"key length -2":      slices.Concat([]byte{0, 0, 0, 3}, filler),
		"key beyond record":  slices.Concat([]byte{0, 0, 0}, binary.AppendVarint(nil, 1<<20), filler),
		"value length -2":    slices.Concat([]byte{0, 0, 0, 1, 3}, filler),
		"value beyond":       slices.Concat([]byte{0, 0, 0, 1}, binary.AppendVarint(nil, 1<<20), filler),
		"bytes left":         slices.Concat([]byte{0, 0, 0, 1}, binary.AppendVarint(nil, 8<<10-9), filler),
		"offset":             slices.Concat([]byte{0, 0, 2}, filler),
		"number without end": slices.Repeat([]byte{0xff}, 8<<10),
	} {
		b := batchFor(3, int16(zstandard), rec{})
		b.body = append(binary.AppendVarint(nil, int64(len(body))), body...)
		_, res := decoded(&Decoder{Max: most}, Set{Records: b.bytes(), From: 3})
		if !errors.Is(res.Err, ErrMalformed) || res.Next != 3 {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// bomb is a batch of n records of size zeros, compressed.
func bomb(t *testing.T, c codec, n int, size int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w := compress.Compression(c).Codec().NewWriter(&out)
	for i := range n {
		head := []byte{0, 0}
		head = binary.AppendVarint(head, int64(i))
		head = binary.AppendVarint(head, -1)
		head = binary.AppendVarint(head, size)
		_, _ = w.Write(binary.AppendVarint(nil, int64(len(head))+size+1))
		_, _ = w.Write(head)
		if _, err := io.Copy(struct{ io.Writer }{w}, zeros(size)); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte{0})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := batchOf{count: int32(n), delta: int32(n - 1), body: out.Bytes()}
	raw := b.bytes()
	raw[atAttrs+1] = byte(c)
	return sealed(raw)
}

// A few kilobytes that hold hundreds of megabytes cost neither that in memory nor
// the records.
func TestBombs(t *testing.T) {
	const most = 1 << 20
	for c := gzip; c <= zstandard; c++ {
		for _, shape := range []struct {
			n    int
			size int64
		}{{1, 200 << 20 / thin}, {250 / thin, 800 << 10}, {20_000 / thin, 10 << 10}} {
			raw := bomb(t, c, shape.n, shape.size)
			d := Decoder{Max: most}
			var bytes int64
			base, peak := heap(), uint64(0)
			res := d.Decode(Set{Records: raw}, func(r *Record) bool {
				bytes += r.Size
				if r.Offset%5000 == 0 {
					now := heap()
					peak = max(peak, now-min(base, now))
				}
				return true
			})
			if res.Err != nil || bytes != int64(shape.n)*shape.size {
				t.Errorf("%v: %d x %d: %d bytes, %+v", c, shape.n, shape.size, bytes, res)
			}
			t.Logf("%v: %d KiB hold %d x %d KiB: heap %d MiB", c, len(raw)>>10, shape.n, shape.size>>10, peak>>20)
			if peak > 40<<20 {
				t.Errorf("%v: %d x %d: heap of %d bytes, batch of %d", c, shape.n, shape.size, peak, len(raw))
			}
		}
	}
}

// A length that lies about what comes costs no memory.
func TestLengthsThatLieCostNothing(t *testing.T) {
	old := debug.SetGCPercent(-1)
	defer debug.SetGCPercent(old)
	record := binary.AppendVarint(nil, 60<<20)
	window := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 19 << 3, 1, 0, 0} // a zstd frame with a window of 512 MiB
	block := binary.AppendUvarint(nil, 1<<31)
	for name, c := range map[string]struct {
		codec codec
		body  []byte
		class error
	}{
		"record, gzip":   {gzip, compressed(gzip, record), ErrMalformed},
		"record, snappy": {snappy, compressed(snappy, record), ErrMalformed},
		"record, lz4":    {lz4, compressed(lz4, record), ErrMalformed},
		"record, zstd":   {zstandard, compressed(zstandard, record), ErrMalformed},
		"zstd window":    {zstandard, window, ErrTooLarge},
		"snappy block":   {snappy, block, ErrMalformed},
		"snappy frame":   {snappy, append([]byte(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 1), ErrMalformed},
		"snappy framed":  {snappy, append([]byte(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 7), ErrMalformed},
		"snappy ends":    {snappy, append([]byte(xerialMagic), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0), ErrMalformed},
	} {
		b := batchOf{count: 1, body: c.body}
		raw := b.bytes()
		raw[atAttrs+1] = byte(c.codec)
		sealed(raw)
		before := allocated()
		_, res := decoded(new(Decoder), Set{Records: raw})
		if got := allocated() - before; got > 16<<20 {
			t.Errorf("%s: %d bytes were allocated", name, got)
		}
		if !errors.Is(res.Err, c.class) {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// same is what cmp does with bytes, and quick with many.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func heap() uint64 {
	runtime.GC() // twice: pools keep what they had for one round
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func unzstd(t *testing.T, z []byte) []byte {
	t.Helper()
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := d.DecodeAll(z, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
