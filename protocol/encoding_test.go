package protocol_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
)

var encodings = []protocol.Encoding{
	protocol.EncodingNone, protocol.EncodingGzip, protocol.EncodingZstd, protocol.EncodingLZ4, protocol.EncodingSnappy,
}

func compress(t testing.TB, src []byte, e protocol.Encoding) []byte {
	t.Helper()
	b, err := protocol.Compress(nil, src, e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// foreign are forms that other writers use and Compress does not.
func foreign(t testing.TB, src []byte) map[string][]byte {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var framed, streamed, linked, members bytes.Buffer
	sw := snappy.NewBufferedWriter(&framed)
	_, err := sw.Write(src)
	must(err)
	must(sw.Close())
	zw, err := zstd.NewWriter(&streamed, zstd.WithEncoderConcurrency(1)) // does not say its size
	must(err)
	for _, half := range [][]byte{src[:len(src)/2], src[len(src)/2:]} {
		_, err = zw.Write(half)
		must(err)
		must(zw.Flush())
	}
	must(zw.Close())
	lw := lz4.NewWriter(&linked)
	must(lw.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(true), lz4.SizeOption(uint64(len(src)))))
	_, err = lw.Write(src)
	must(err)
	must(lw.Close())
	gw := gzip.NewWriter(&members) // two members, as `cat a.gz b.gz` makes
	_, err = gw.Write(src[:len(src)/2])
	must(err)
	must(gw.Close())
	gw.Reset(&members)
	_, err = gw.Write(src[len(src)/2:])
	must(err)
	must(gw.Close())
	frames := append(compress(t, src[:len(src)/2], protocol.EncodingZstd), compress(t, src[len(src)/2:], protocol.EncodingZstd)...)
	return map[string][]byte{
		"snappy framed": framed.Bytes(), "zstd streamed": streamed.Bytes(), "lz4 with size": linked.Bytes(),
		"gzip members": members.Bytes(), "zstd frames": frames,
	}
}

func encodingOf(t testing.TB, form string) protocol.Encoding {
	t.Helper()
	name, _, _ := strings.Cut(form, " ")
	e, err := protocol.ParseEncoding(name)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEncodingsRoundTrip(t *testing.T) {
	t.Parallel()
	for _, logs := range []int{0, 1, 10, 3000} {
		data := sample(logs).AppendMarshal(nil)
		values := foreign(t, data)
		for _, e := range encodings {
			values[e.String()] = compress(t, data, e)
		}
		for form, value := range values {
			body, groups, err := protocol.Scan(value, protocol.FormatLogGroup, encodingOf(t, form), nil, nil)
			if err != nil || len(groups) != 1 {
				t.Errorf("%s of %d logs: %d groups, %v", form, logs, len(groups), err)
				continue
			}
			if !bytes.Equal(body, data) {
				t.Errorf("%s of %d logs: the body differs", form, logs)
			}
			if cap(body) > len(body)+len(body)/8 && form != "none" {
				t.Errorf("%s of %d logs: %d bytes lie in %d", form, logs, len(body), cap(body))
			}
			if got := groups[0].Decode(); len(got.Logs) != logs {
				t.Errorf("%s of %d logs: %d logs", form, logs, len(got.Logs))
			}
		}
	}
}

func TestCompressAppendsAndIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	data := sample(50).AppendMarshal(nil)
	var wg sync.WaitGroup
	for _, e := range encodings {
		for range 4 {
			wg.Go(func() {
				for range 20 {
					b, err := protocol.Compress([]byte("kept"), data, e)
					if err != nil || string(b[:4]) != "kept" {
						t.Errorf("%v: %v", e, err)
						return
					}
					body, _, err := protocol.Scan(b[4:], protocol.FormatLogGroup, e, nil, nil)
					if err != nil || !bytes.Equal(body, data) {
						t.Errorf("%v: came back otherwise: %v", e, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if _, err := protocol.Compress(nil, data, 99); err == nil {
		t.Error("encoding 99 exists")
	}
}

// Cut at any byte, or with one byte changed, a compressed value is refused or is
// whole; it never panics.
func TestDamagedCompression(t *testing.T) {
	t.Parallel()
	data := sample(2).AppendMarshal(nil)
	values := foreign(t, data)
	for _, e := range encodings[1:] {
		values[e.String()] = compress(t, data, e)
	}
	for form, value := range values {
		e := encodingOf(t, form)
		for n := range value {
			body, _, err := protocol.Scan(value[:n], protocol.FormatLogGroup, e, nil, nil)
			var u *protocol.UndecodableError
			switch {
			case err == nil && !bytes.Equal(body, data) && !bytes.Equal(body, data[:len(data)/2]) && len(body) > 0:
				t.Fatalf("%s cut at %d of %d gives %d bytes of %d", form, n, len(value), len(body), len(data))
			case err != nil && !errors.As(err, &u):
				t.Fatalf("%s cut at %d: %T %v", form, n, err, err)
			}
			changed := bytes.Clone(value)
			changed[n] ^= 0x55
			_, groups, _ := protocol.Scan(changed, protocol.FormatLogGroup, e, nil, nil)
			for i := range groups {
				groups[i].Decode()
			}
		}
	}
}

func TestBombsAreRefusedBeforeTheyCostMemory(t *testing.T) {
	const size = 40 << 20
	zeros := make([]byte, size)
	bombs := foreign(t, zeros)
	for _, e := range encodings[1:] {
		bombs[e.String()] = compress(t, zeros, e)
	}
	for form, value := range bombs {
		e := encodingOf(t, form)
		for name, lim := range map[string]protocol.Limits{
			"decompressed": {Decompressed: 1 << 20},
			"ratio":        {Ratio: 5},
		} {
			if name == "ratio" && len(value)*5 > size/2 {
				continue
			}
			var err error
			used := allocatedBy1(func() { _, _, err = protocol.Scan(value, protocol.FormatLogGroup, e, &lim, nil) })
			if err == nil || !strings.Contains(err.Error(), `limit "`+name+`"`) {
				t.Errorf("%s of %d bytes, %s: got %v", form, len(value), name, err)
			}
			// What a reader needs for itself (lz4: two blocks of 4 MiB) comes on top.
			bound := max(1<<20, int64(len(value))*5)
			if used > 4*bound+(12<<20) {
				t.Errorf("%s of %d bytes, %s: %d bytes allocated before it was refused", form, len(value), name, used)
			}
		}
	}
}

// Claims of sizes that are not there cost no more than a small multiple of what
// was received.
func TestClaimedSizesAreNotBelieved(t *testing.T) {
	claim := binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, 60<<20) // a zstd head: content size in 8 bytes
	claim = append(claim, 0x01, 0x00, 0x00)                                                 // an empty last block
	gz := compress(t, []byte("x"), protocol.EncodingGzip)
	binary.LittleEndian.PutUint32(gz[len(gz)-4:], 60<<20)
	for form, value := range map[string][]byte{
		"zstd":   claim,
		"gzip":   gz,
		"snappy": append(binary.AppendUvarint(nil, 60<<20), 0, 'x'),
	} {
		var err error
		lim := protocol.Limits{Ratio: 1 << 30}
		scan := func() {
			_, _, err = protocol.Scan(value, protocol.FormatLogGroup, encodingOf(t, form), &lim, nil)
		}
		scan() // fills the pools
		if used := allocatedBy1(scan); used > 1<<20 {
			t.Errorf("%s: %d bytes allocated for a claim", form, used)
		}
		if err == nil {
			t.Errorf("%s: a wrong size was accepted", form)
		}
	}
}

func TestSmallValuesMayBeVeryRegular(t *testing.T) {
	t.Parallel()
	lg := &protocol.LogGroup{Logs: []*protocol.Log{{Contents: []*protocol.Log_Content{{Key: "k", Value: strings.Repeat("a", 900<<10)}}}}}
	value := compress(t, lg.AppendMarshal(nil), protocol.EncodingZstd)
	if _, _, err := protocol.Scan(value, protocol.FormatLogGroup, protocol.EncodingZstd, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestParseContentType(t *testing.T) {
	t.Parallel()
	const group, list, bad = protocol.FormatLogGroup, protocol.FormatLogGroupList, protocol.Format(-1)
	for s, want := range map[string]protocol.Format{
		"":                        group,
		"  ":                      group,
		protocol.TypeLogGroup:     group,
		protocol.TypeLogGroupList: list,
		"application/x-protobuf":  group,
		"Application/X-Protobuf ; charset=utf-8 ; Type = \"LogGroupList\"": list,
		"application/protobuf;type=loggroup":                               group,
		"application/x-protobuf;type=SlsPackageList":                       protocol.FormatPackageList,
		"application/json":                            protocol.FormatJSON,
		"application/json; charset=utf-8":             protocol.FormatJSON,
		"application/x-ndjson":                        protocol.FormatJSON,
		"application/json;type=custom_single_flatten": protocol.FormatJSONFlat,
		"Text/Plain; charset=us-ascii":                protocol.FormatText,
		"application/json;type=loggroup":              bad,
		"application/x-protobuf;type=json":            bad,
		"text/html":                                   bad,
		"loggroup":                                    bad,
		";type=loggroup":                              bad,
	} {
		got, err := protocol.ParseContentType(s)
		if want == bad && (err == nil || !strings.Contains(err.Error(), protocol.TypeLogGroupList)) {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
		if want != bad && (err != nil || got != want) {
			t.Errorf("%q: got %v, %v, want %v", s, got, err, want)
		}
	}
	for f := group; f < protocol.FormatAuto; f++ {
		if got, err := protocol.ParseFormat(f.String()); err != nil || got != f {
			t.Errorf("%v does not read its own name: %v, %v", f, got, err)
		}
		if got, err := protocol.ParseContentType(f.ContentType()); err != nil || got != f {
			t.Errorf("%v does not read its own content type: %v, %v", f, got, err)
		}
	}
}

func TestParseEncoding(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]protocol.Encoding{
		"": protocol.EncodingNone, "identity": protocol.EncodingNone, "NONE": protocol.EncodingNone,
		" GZip ": protocol.EncodingGzip, "zstd": protocol.EncodingZstd, "lz4": protocol.EncodingLZ4, "Snappy": protocol.EncodingSnappy,
	} {
		if got, err := protocol.ParseEncoding(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v", s, got, err)
		}
	}
	if _, err := protocol.ParseEncoding("br"); err == nil || !strings.Contains(err.Error(), "none, gzip, zstd, lz4, snappy") {
		t.Errorf("got %v", err)
	}
}

// FuzzScan: whatever the bytes, Scan stays within its limits, and what it accepts
// decodes into what marshals and reads back as the same.
func FuzzScan(f *testing.F) {
	data := sample(3).AppendMarshal(nil)
	for form, value := range foreign(f, data) {
		f.Add(value, uint8(protocol.FormatLogGroup), uint8(encodingOf(f, form)))
	}
	for _, e := range encodings {
		f.Add(compress(f, data, e), uint8(protocol.FormatLogGroup), uint8(e))
		f.Add(compress(f, protocol.AppendListEntry(nil, data), e), uint8(protocol.FormatLogGroupList), uint8(e))
	}
	lim := protocol.Limits{Decompressed: 1 << 20, Ratio: 10, Groups: 100, Logs: 1000, Contents: 5000}
	f.Fuzz(func(t *testing.T, value []byte, format, encoding uint8) {
		body, groups, err := protocol.Scan(value, protocol.Format(format), protocol.Encoding(encoding), &lim, nil)
		var u *protocol.UndecodableError
		switch {
		case err != nil && !errors.As(err, &u):
			t.Fatalf("%T: %v", err, err)
		case err != nil && strings.Contains(err.Error(), "panicked"):
			t.Fatal(err)
		case err != nil:
			return
		case len(body) > 1<<20 || len(groups) > 100:
			t.Fatalf("%d bytes and %d groups are above the limits", len(body), len(groups))
		}
		for i := range groups {
			lg := groups[i].Decode()
			checkCounts(t, &groups[i], lg)
			var back protocol.LogGroup
			if err := back.Unmarshal(lg.AppendMarshal(nil)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(lg, &back); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

func TestCompressRoundTripsAnything(t *testing.T) {
	t.Parallel()
	lim := protocol.Limits{Ratio: 1 << 20}
	rapid.Check(t, func(t *rapid.T) {
		data := drawGroup(t, "group").AppendMarshal(nil)
		e := rapid.SampledFrom(encodings).Draw(t, "encoding")
		value, err := protocol.Compress(nil, data, e)
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := protocol.Scan(value, protocol.FormatLogGroup, e, &lim, nil)
		if err != nil || !bytes.Equal(body, data) {
			t.Fatalf("%v: %v", e, err)
		}
	})
}

func BenchmarkScanCompressed(b *testing.B) {
	for _, e := range encodings[1:] {
		b.Run(e.String(), func(b *testing.B) {
			data := sample(100).AppendMarshal(nil)
			value := compress(b, data, e)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var groups []protocol.Group
			for b.Loop() {
				_, groups, _ = protocol.Scan(value, protocol.FormatLogGroup, e, nil, groups[:0])
			}
		})
	}
}

func BenchmarkCompress(b *testing.B) {
	for _, e := range encodings[1:] {
		b.Run(e.String(), func(b *testing.B) {
			data := sample(100).AppendMarshal(nil)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst, _ = protocol.Compress(dst[:0], data, e)
			}
			b.ReportMetric(float64(len(data))/float64(len(dst)), "ratio")
		})
	}
}
