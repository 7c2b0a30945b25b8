package protocol_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zlib"
	"github.com/pierrec/lz4/v4"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
)

// pack is an SlsLogPackage; a size or type below 0 is left out.
func pack(data []byte, size, compress int) []byte {
	b := binary.AppendUvarint([]byte{0x0a}, uint64(len(data)))
	b = append(b, data...)
	if size >= 0 {
		b = binary.AppendUvarint(append(b, 0x10), uint64(size))
	}
	if compress >= 0 {
		b = binary.AppendUvarint(append(b, 0x18), uint64(compress))
	}
	return b
}

func listOf(elements ...[]byte) (list []byte) {
	for _, e := range elements {
		list = append(binary.AppendUvarint(append(list, 0x0a), uint64(len(e))), e...)
	}
	return list
}

func deflated(data []byte) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}

func lz4Block(data []byte) []byte {
	b := make([]byte, lz4.CompressBlockBound(len(data)))
	n, _ := lz4.CompressBlock(data, b, nil)
	return b[:n]
}

func TestPackagesAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	group := sample(3).AppendMarshal(nil)
	bomb := make([]byte, 4<<20)
	bombs := deflated(bomb)
	zstd := compress(t, bomb, protocol.EncodingZstd)
	huge := lz4Block(make([]byte, 2<<20))
	const one, list = protocol.FormatPackage, protocol.FormatPackageList
	for name, c := range map[string]struct {
		value []byte
		f     protocol.Format
		want  string
	}{
		"no data":              {[]byte{0x10, 5}, one, "it has no data"},
		"cut off":              {[]byte{0x0a, 5, 1}, one, "a length goes beyond the end"},
		"a foreign wire type":  {[]byte{0x0a, 0, 0x12, 0}, one, "field 2 has wire type 2"},
		"an unknown type":      {pack(group, len(group), 9), one, "compress_type 9 is not known: NONE is 0, DEFLATE 1, LZ4 2, ZSTD 3"},
		"a wrong size":         {pack(group, len(group)+1, 0), one, "uncompress_size is"},
		"a wrong size of zlib": {pack(deflated(group), 7, 1), one, "uncompress_size is 7, the LogGroup has"},
		"LZ4 without a size":   {pack(lz4Block(group), -1, 2), one, "an LZ4 package needs uncompress_size"},
		"a size beyond LZ4":    {pack([]byte{0}, 1<<20, 2), one, "1 bytes of LZ4 cannot hold the 1048576"},
		"LZ4 that is none":     {pack([]byte("no block"), 100, 2), one, "lz4: "},
		"zlib that is none":    {pack([]byte("\x78\x9cno zlib"), -1, 1), one, "deflate: "},
		"no LogGroup":          {pack([]byte("hello"), 5, 0), one, "this is no slspackage: "},
		"in a list":            {listOf(pack(group, -1, 0), pack(group, -1, 9)), list, "package 2: compress_type 9"},
		"too many bytes":       {pack(bombs, -1, 1), one, `bytes become more than 2100500 (limit "ratio")`},
		"too many of zstd":     {pack(zstd, -1, 3), one, `(limit "ratio")`},
		"too many claimed":     {pack(huge, 3<<20, 2), one, `(limit "decompressed")`},
		"too many together":    {listOf(pack(huge, 2<<20, 2), pack(huge, 2<<20, 2)), list, `(limit "decompressed")`},
	} {
		lim := &protocol.Limits{Decompressed: 3<<20 - 1}
		_, _, err := protocol.Scan(c.value, c.f, protocol.EncodingNone, lim, nil)
		var u *protocol.UndecodableError
		if !errors.As(err, &u) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	lim := &protocol.Limits{Groups: 1}
	if _, _, err := protocol.Scan(listOf(pack(group, -1, 0), pack(group, -1, 0)), list, protocol.EncodingNone, lim, nil); err == nil {
		t.Error("two packages pass a limit of one")
	}
}

// forms are the ways to put groups on a queue, with what is explicitly said of each.
func forms(groups []*protocol.LogGroup) map[protocol.Format][]byte {
	var packages [][]byte
	for i, g := range groups {
		data := g.AppendMarshal(nil)
		switch packed := lz4Block(data); {
		case i%3 == 0 || len(packed) == 0:
			packages = append(packages, pack(deflated(data), len(data), 1))
		case i%3 == 1:
			packages = append(packages, pack(packed, len(data), 2-i%2*3)) // said or left out
		default:
			packages = append(packages, pack(data, len(data), 0))
		}
	}
	return map[protocol.Format][]byte{
		protocol.FormatLogGroup:     groups[0].AppendMarshal(nil),
		protocol.FormatLogGroupList: (&protocol.LogGroupList{LogGroupList: groups}).AppendMarshal(nil),
		protocol.FormatPackage:      packages[0],
		protocol.FormatPackageList:  listOf(packages...),
	}
}

// Nothing that a writer makes is read as something else: another format fails, or
// finds the same groups; auto finds the format, or says that it cannot tell.
func TestNoFormatIsTakenForAnother(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var groups []*protocol.LogGroup
		for range rapid.IntRange(1, 3).Draw(t, "groups") {
			groups = append(groups, drawGroup(t, "group"))
		}
		all := forms(groups)
		for f, value := range all {
			want := groups
			if f == protocol.FormatLogGroup || f == protocol.FormatPackage {
				want = groups[:1]
			}
			for g := protocol.FormatLogGroup; g <= protocol.FormatAuto; g++ {
				if g == protocol.FormatText {
					continue // anything is text: it is never guessed
				}
				got, err := readJSON(value, g)
				diff := cmp.Diff(want, got, cmpopts.EquateEmpty())
				if g != protocol.FormatAuto && f != g && len(got) == 0 && len(want[0].Logs) == 0 {
					continue // a group without logs has nothing a list would fail at
				}
				if err == nil && diff != "" {
					t.Fatalf("%x, %v read as %v: %s", value, f, g, diff)
				}
				if err != nil && (f == g || g == protocol.FormatAuto) {
					t.Fatalf("%x, %v read as %v: %v", value, f, g, err)
				}
			}
		}
	})
}

func TestAutoSaysWhatItCannotTell(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"plain text":            "its first byte 0x70 begins neither LogGroup protobuf nor JSON",
		"\n{\"a\":\"b\"}":       "this is no ",
		"[2023-11-14] started":  "this is no json (which its first bytes look like): want an object {...}, found '2' (byte 1 of 20)",
		"\x0a\x00":              "an element without bytes may be a log, a LogGroup or a package",
		"\x0a\x00\x0a\x00":      "an element without bytes",
		"\x28\xb5\x2f\xfd":      "its first byte 0x28",
		"\x0a\x05hello":         "this is no loggrouplist (which its first bytes look like)",
		"\x10\x05\x0a\x05hello": "this is no slspackage (which its first bytes look like)",
		"\x12\x05hello\x12\xff": "this is no loggroup (which its first bytes look like)",
	} {
		_, err := readJSON([]byte(value), protocol.FormatAuto)
		var u *protocol.UndecodableError
		if !errors.As(err, &u) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", value, err, want)
		}
	}
	if got, err := readJSON(nil, protocol.FormatAuto); got != nil || err != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
	// a log without the Time that proto2 requires, as writers of proto3 make it
	log := []byte("\x0a\x08\x12\x06\x0a\x01k\x12\x01v")
	if got, err := readJSON(log, protocol.FormatAuto); err != nil || len(got) != 1 || len(got[0].Logs) != 1 {
		t.Errorf("a log without Time: %v, %v", got, err)
	}
}

func TestTextIsOneLog(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", "two\nlines\xff", strings.Repeat("x", 127), strings.Repeat("x", 20000), `{"a":"b"}`} {
		for _, at := range []time.Time{time.Unix(1700000000, 5), time.Unix(7, 0), {}, time.Unix(-5, 0)} {
			p := protocol.Payload{Value: []byte(text), Format: protocol.FormatText, Time: at}
			body, groups, err := p.Scan(nil, nil)
			if err != nil || len(groups) != 1 {
				t.Fatalf("%.20q: %d groups, %v", text, len(groups), err)
			}
			want := &protocol.LogGroup{Logs: []*protocol.Log{{Time: uint32(max(at.Unix(), 0)), Contents: contents("content", text)}}}
			if diff := cmp.Diff(want, groups[0].Decode()); diff != "" {
				t.Errorf("%.20q: %s", text, diff)
			}
			if !bytes.Equal(groups[0].Data, want.AppendMarshal(nil)) || !body.Fresh || body.Format != protocol.FormatLogGroupList {
				t.Errorf("%.20q: %+v", text, body)
			}
		}
	}
	if got, err := readJSON(nil, protocol.FormatText); got != nil || err != nil {
		t.Errorf("nothing: %v, %v", got, err)
	}
}

// A log that names no time has the message's, in seconds; one that says 0 has 0.
func TestLogsWithoutATimeTakeTheMessages(t *testing.T) {
	t.Parallel()
	p := protocol.Payload{
		Value:  []byte(`[{"a":"b"},{"time":"soon"},{"contents":{}},{"Contents":[]},{"time":0},{"contents":{},"time":0},{"Time":0},{"Logs":[{"Contents":[]}]}]`),
		Format: protocol.FormatAuto, Time: time.Unix(1700000000, 123456789),
	}
	_, groups, err := p.Scan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var times []uint32
	for i := range groups {
		for _, l := range groups[i].Decode().Logs {
			if times = append(times, l.Time); l.TimeNs != nil {
				t.Errorf("log %d has nanoseconds", len(times))
			}
		}
	}
	const now = 1700000000
	if diff := cmp.Diff([]uint32{now, now, now, now, 0, 0, 0, now}, times); diff != "" {
		t.Error(diff)
	}
}

// FuzzPayload reads anything as anything: no panic, memory within the limits, and
// what is accepted is encoded again to the same bytes.
func FuzzPayload(f *testing.F) {
	for _, name := range collectorFiles(f) {
		value, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for format := protocol.FormatLogGroup; format <= protocol.FormatAuto; format++ {
			f.Add(value, int(format))
		}
	}
	f.Add(pack([]byte{0x1f, 0, 1, 0, 0xff, 0xff}, 1000, 2), int(protocol.FormatPackage))
	f.Fuzz(func(t *testing.T, value []byte, format int) {
		lim := &protocol.Limits{Decompressed: 1 << 16}
		p := protocol.Payload{Value: value, Format: protocol.Format(format), Time: time.Unix(5, 0)}
		body, groups, err := p.Scan(lim, nil)
		if err != nil {
			if len(groups) > 0 || body.Bytes != nil {
				t.Fatal("something remained of what was refused")
			}
			return
		}
		if p.Format.Rewritten(value) && len(body.Bytes) > 0 && !body.Fresh {
			t.Fatal("what is rewritten is not charged")
		}
		if int64(len(body.Bytes)) > lim.Decompressed+1<<10 || cap(body.Bytes)-len(body.Bytes) > len(body.Bytes)/8 && body.Fresh {
			t.Fatalf("%d bytes (capacity %d) of %d", len(body.Bytes), cap(body.Bytes), len(value))
		}
		list := &protocol.LogGroupList{}
		for i := range groups {
			list.LogGroupList = append(list.LogGroupList, groups[i].Decode())
		}
		again, err := readJSON(list.AppendMarshal(nil), protocol.FormatLogGroupList)
		if diff := cmp.Diff(list.LogGroupList, again); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}
