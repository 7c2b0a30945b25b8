package protocol_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
)

func scanOne(t testing.TB, data []byte) *protocol.Group {
	t.Helper()
	_, groups, err := protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err != nil || len(groups) != 1 {
		t.Fatalf("%d groups, %v", len(groups), err)
	}
	return &groups[0]
}

// seeds are shapes that encoders other than ours may write.
var seeds = []string{
	"",                                 // no group
	"12 00 1a 00 22 00 2a 00",          // an empty one
	"0a 00",                            // a log without Time
	"0a 02 08 01",                      // a log
	"0a 09 08 00 12 05 0a 01 6b 12 00", // a pair
	"0a 09 08 00 12 05 12 00 0a 01 6b", // value before key
	"0a 0c 08 00 12 08 0a 01 6b 0a 01 6a 12 00",    // key twice
	"0a 07 08 00 12 03 0a 01 6b",                   // no value
	"0a 0c 08 01 08 80 80 80 80 10 1a 01 76 12 00", // Time twice, the second beyond 32 bits
	"0a 0c 25 01 02 03 04 25 05 06 07 08 08 01",    // Time_ns twice
	"8a 00 02 08 01",                               // a tag longer than needed
	"0a 82 80 00 08 01",                            // a length longer than needed
	"3b 08 01 43 44 3c 12 01 61",                   // unknown groups
	"38 ff ff ff ff ff ff ff ff ff 01",             // an unknown varint of 64 bits
	"38 ff ff ff ff ff ff ff ff ff 02",             // and one of 65
	"39 01 02 03 04 05 06 07 08 3d 01 02 03 04",    // unknown fixed ones
	"08 01",                         // a known field with a foreign wire type
	"02 00",                         // field 0
	"0c",                            // a group's end
	"3b 44",                         // another group's end
	"32 06 0a 01 74 12 01 76 32 00", // tags
	"12 01 61 12 01 62",             // Category twice
}

// FuzzDecodeLogGroup: what Scan accepts google.golang.org/protobuf reads as the
// same, and what it refuses that reads only for the documented differences.
func FuzzDecodeLogGroup(f *testing.F) {
	for _, s := range seeds {
		f.Add(unhex(f, s))
	}
	f.Add(sample(2).AppendMarshal(nil))
	newMessage := dynamicMessages(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		want := newMessage("LogGroup")
		refErr := proto.UnmarshalOptions{AllowPartial: true}.Unmarshal(data, want)
		_, groups, err := protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
		if err != nil {
			if refErr == nil && !strings.Contains(err.Error(), "wire type") && !strings.Contains(err.Error(), "nest too deep") {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		if refErr != nil {
			t.Fatalf("accepted what the reference refuses: %v", refErr)
		}
		if len(data) == 0 {
			if len(groups) != 0 {
				t.Fatal("an empty value has a group")
			}
			return
		}
		got := groups[0].Decode()
		expected, missing := fromReference(want)
		if diff := cmp.Diff(expected, got); diff != "" {
			t.Fatal(diff)
		}
		if missing != groups[0].Missing {
			t.Fatalf("%d required fields are missing, counted %d", missing, groups[0].Missing)
		}
		checkCounts(t, &groups[0], got)
	})
}

func fromReference(m protoreflect.Message) (*protocol.LogGroup, int32) {
	var missing int32
	str := func(m protoreflect.Message, name string, required bool) string {
		fd := m.Descriptor().Fields().ByName(protoreflect.Name(name))
		if required && !m.Has(fd) {
			missing++
		}
		return m.Get(fd).String()
	}
	list := func(m protoreflect.Message, name string) []protoreflect.Value {
		l := m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(name))).List()
		var all []protoreflect.Value
		for i := range l.Len() {
			all = append(all, l.Get(i))
		}
		return all
	}
	g := &protocol.LogGroup{
		Category: str(m, "Category", false), Topic: str(m, "Topic", false),
		Source: str(m, "Source", false), MachineUUID: str(m, "MachineUUID", false),
	}
	for _, v := range list(m, "Logs") {
		lm := v.Message()
		fields := lm.Descriptor().Fields()
		l := &protocol.Log{}
		if fd := fields.ByName("Time"); lm.Has(fd) {
			l.Time = uint32(lm.Get(fd).Uint())
		} else {
			missing++
		}
		if fd := fields.ByName("Time_ns"); lm.Has(fd) {
			l.TimeNs = ptr(uint32(lm.Get(fd).Uint()))
		}
		for _, v := range list(lm, "values") {
			l.Values = append(l.Values, v.String())
		}
		for _, v := range list(lm, "Contents") {
			l.Contents = append(l.Contents, &protocol.Log_Content{
				Key: str(v.Message(), "Key", true), Value: str(v.Message(), "Value", true),
			})
		}
		g.Logs = append(g.Logs, l)
	}
	for _, v := range list(m, "LogTags") {
		g.LogTags = append(g.LogTags, &protocol.LogTag{
			Key: str(v.Message(), "Key", true), Value: str(v.Message(), "Value", true),
		})
	}
	return g, missing
}

func checkCounts(t testing.TB, g *protocol.Group, lg *protocol.LogGroup) {
	t.Helper()
	type counts struct{ Logs, Contents, Values, TimesNs, Tags int }
	got := counts{int(g.Logs), int(g.Contents), int(g.Values), int(g.TimesNs), int(g.Tags)}
	want := counts{Logs: len(lg.Logs), Tags: len(lg.LogTags)}
	for _, l := range lg.Logs {
		want.Contents += len(l.Contents)
		want.Values += len(l.Values)
		if l.TimeNs != nil {
			want.TimesNs++
		}
	}
	if got != want {
		t.Fatalf("counted %+v, there are %+v", got, want)
	}
}

func TestScanRefusesWithReasonAndByte(t *testing.T) {
	t.Parallel()
	const g, l = protocol.FormatLogGroup, protocol.FormatLogGroupList
	for _, c := range []struct {
		data   string
		format protocol.Format
		want   string
	}{
		{"0a 05 08 01", g, "this is no loggroup: a length goes beyond the end (byte 1 of 4)"},
		{"0a 02 08 81", g, "this is no loggroup: a Time is cut off or longer than 64 bits (byte 3 of 4)"},
		{"0a 03 25 01 02", g, "this is no loggroup: a Time_ns is cut off (byte 3 of 5)"},
		{"08 01", g, "this is no loggroup: field 1 has wire type 0, which the .proto does not give it (byte 0 of 2)"},
		{"0c", g, "this is no loggroup: a group ends that did not begin (byte 1 of 1)"},
		{"3b 44", g, "this is no loggroup: another group ends than began (byte 1 of 2)"},
		{"3f", g, "this is no loggroup: an unknown wire type (byte 1 of 1)"},
		{"02 00", g, "this is no loggroup: a field number is out of range (byte 0 of 2)"},
		{"0a 02 1a 01", g, "this is no loggroup: a length goes beyond the end (byte 3 of 4)"},
		{"32 02 0a 05", g, "this is no loggroup: a length goes beyond the end (byte 3 of 4)"},
		{"09 00 00 00 00 00 00 00 00", l, "this is no loggrouplist: field 1 has wire type 1, which the .proto does not give it (byte 0 of 9)"},
		{"0a 01", l, "this is no loggrouplist: a length goes beyond the end (byte 1 of 2)"},
		{"00", 99, "Format(99) is no format of values"},
	} {
		before := make([]protocol.Group, 1)
		data := unhex(t, c.data)
		body, groups, err := protocol.Scan(data, c.format, protocol.EncodingNone, nil, before)
		var u *protocol.UndecodableError
		if !errors.As(err, &u) || u.Reason != c.want {
			t.Errorf("%s: got %v, want %s", c.data, err, c.want)
		}
		if body != nil || len(groups) != 1 {
			t.Errorf("%s: something remained: body %v, %d groups", c.data, body, len(groups))
		}
	}
}

func TestUnknownGroupsNestOnlySoDeep(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte {
		return append([]byte(strings.Repeat("\x3b", n)), strings.Repeat("\x3c", n)...)
	}
	if g := scanOne(t, nested(64)); g.Unknown != 1 {
		t.Errorf("%d unknown fields, want 1", g.Unknown)
	}
	_, _, err := protocol.Scan(nested(65), protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "groups nest too deep") {
		t.Errorf("got %v", err)
	}
	_, _, err = protocol.Scan([]byte(strings.Repeat("\x3b", 1<<20)), protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err == nil {
		t.Error("a million open groups were accepted")
	}
}

// Cut anywhere, a value is refused or decodes; what decodes is a beginning.
func TestTruncatedAtEveryByte(t *testing.T) {
	t.Parallel()
	data := sample(3).AppendMarshal(nil)
	for n := range data {
		_, groups, err := protocol.Scan(data[:n], protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
		if err != nil {
			continue
		}
		for i := range groups {
			if got := groups[i].Decode(); len(got.Logs) > 3 {
				t.Fatalf("cut at %d: %d logs", n, len(got.Logs))
			}
		}
	}
}

func TestListsAndEmptyValues(t *testing.T) {
	t.Parallel()
	want := []*protocol.LogGroup{sample(2), {}, sample(1)}
	list := protocol.LogGroupList{LogGroupList: want}
	data := append(list.AppendMarshal(nil), 0x12, 0x01, 'x') // and an unknown field
	body, groups, err := protocol.Scan(data, protocol.FormatLogGroupList, protocol.EncodingNone, nil, make([]protocol.Group, 1))
	if err != nil {
		t.Fatal(err)
	}
	if &body[0] != &data[0] || len(groups) != 1+len(want) {
		t.Fatalf("the body is a copy, or %d groups", len(groups))
	}
	for i, w := range want {
		if diff := cmp.Diff(w, groups[1+i].Decode()); diff != "" {
			t.Errorf("group %d: %s", i, diff)
		}
		if string(groups[1+i].Data) != string(w.AppendMarshal(nil)) {
			t.Errorf("group %d: its bytes changed", i)
		}
	}
	for _, f := range []protocol.Format{protocol.FormatLogGroup, protocol.FormatLogGroupList} {
		for e := protocol.EncodingNone; e <= protocol.EncodingSnappy; e++ {
			value, err := protocol.Compress(nil, nil, e)
			if err != nil {
				t.Fatal(err)
			}
			if _, groups, err := protocol.Scan(value, f, e, nil, nil); err != nil || len(groups) != 0 {
				t.Errorf("nothing as %v in %v: %d groups, %v", f, e, len(groups), err)
			}
		}
	}
}

func TestLimitsOnCounts(t *testing.T) {
	t.Parallel()
	list := protocol.LogGroupList{LogGroupList: []*protocol.LogGroup{sample(2), sample(3)}} // 5 logs, 50 contents, 4 tags
	data := list.AppendMarshal(nil)
	for _, c := range []struct {
		lim  protocol.Limits
		want string
	}{
		{protocol.Limits{Groups: 2, Logs: 5, Contents: 54, Decompressed: int64(len(data))}, ""},
		{protocol.Limits{Groups: 1}, "more LogGroups than the limit of 1"},
		{protocol.Limits{Logs: 4}, "more logs than the limit of 4"},
		{protocol.Limits{Contents: 53}, "more contents than the limit of 53"},
		{protocol.Limits{Decompressed: int64(len(data)) - 1}, `limit "decompressed"`},
	} {
		_, _, err := protocol.Scan(data, protocol.FormatLogGroupList, protocol.EncodingNone, &c.lim, nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want %q", c.lim, err, c.want)
		}
	}
}

func TestDecodeSharesNothingAndCapsSlices(t *testing.T) {
	t.Parallel()
	g := scanOne(t, sample(3).AppendMarshal(nil))
	a, b := g.Decode(), g.Decode()
	// A plugin that appends to one log must not write into the next one.
	a.Logs[0].Contents = append(a.Logs[0].Contents, &protocol.Log_Content{Key: "added"})
	a.LogTags = append(a.LogTags, &protocol.LogTag{Key: "added"})
	a.Logs[1].Contents[0].Key = "changed"
	if diff := cmp.Diff(sample(3), b); diff != "" {
		t.Error(diff)
	}
	if a.Logs[1].Contents[1].Key != "path" || a.Logs[0].Contents[10].Key != "added" {
		t.Errorf("appending wrote over a neighbour: %v", a.Logs[1].Contents[1])
	}
}

func TestLookups(t *testing.T) {
	lg := sample(2)
	lg.LogTags = append(lg.LogTags, &protocol.LogTag{Key: "app", Value: "old"}, &protocol.LogTag{Key: "app", Value: "new"})
	data := append(lg.AppendMarshal(nil), 0x38, 0x01) // and an unknown varint
	g := scanOne(t, data)
	if got := g.Category(); got != "access" {
		t.Errorf("Category is %q", got)
	}
	for _, c := range []struct {
		key, want string
		ok        bool
	}{{"app", "new", true}, {"__hostname__", "web-17", true}, {"none", "", false}} {
		if got, ok := g.Tag(c.key); got != c.want || ok != c.ok {
			t.Errorf("Tag(%q) is %q, %v", c.key, got, ok)
		}
	}
	if n := testing.AllocsPerRun(100, func() { g.Category(); g.Tag("app") }); n != 0 {
		t.Errorf("lookups allocate %v times", n)
	}
}

func TestAllocations(t *testing.T) {
	full := sample(100)
	for _, l := range full.Logs {
		l.TimeNs, l.Values = ptr(uint32(7)), []string{"v"}
	}
	for name, lg := range map[string]*protocol.LogGroup{"usual": sample(100), "all fields": full, "empty": {}} {
		data := lg.AppendMarshal(nil)
		var groups []protocol.Group
		scan := func() {
			_, groups, _ = protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, nil, groups[:0])
		}
		scan()
		if n := testing.AllocsPerRun(100, scan); n != 0 {
			t.Errorf("%s: Scan allocates %v times", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { groups[0].Decode() }); n > 6 {
			t.Errorf("%s: Decode allocates %v times, want at most 6", name, n)
		}
		var s protocol.Slabs
		if n := testing.AllocsPerRun(100, func() { s.Decode(&groups[0]); s.Reset() }); n != 0 {
			t.Errorf("%s: Slabs allocate %v times", name, n)
		}
	}
}

// DecodedSize must not promise less than is allocated: a pool is charged with it.
func TestDecodedSizeIsWhatDecodeAllocates(t *testing.T) {
	for _, n := range []int{0, 1, 2, 5, 10, 37, 100, 1000} {
		lg := sample(n)
		for i, l := range lg.Logs {
			if i%2 == 0 {
				l.TimeNs, l.Values = ptr(uint32(7)), []string{"v", "w"}
			}
		}
		g := scanOne(t, lg.AppendMarshal(nil))
		got, want := g.DecodedSize(), allocatedBy(func() { g.Decode() })
		if got < want || got > want+want/4+256 {
			t.Errorf("%d logs: DecodedSize is %d, %d are allocated", n, got, want)
		}
	}
}

// allocatedBy is how many bytes one call of f allocates, of a hundred: the least of some
// measurements, as the runtime allocates beside it now and then.
func allocatedBy(f func()) int64 {
	const runs = 100
	least := int64(math.MaxInt64)
	for range 5 {
		least = min(least, allocatedBy1(func() {
			for range runs {
				f()
			}
		}))
	}
	return least / runs
}

func allocatedBy1(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestSlabsKeepGroupsOfABatchApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s protocol.Slabs
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			var want, got []*protocol.LogGroup
			for i := range rapid.IntRange(1, 4).Draw(t, "groups") {
				lg := drawGroup(t, fmt.Sprint("group ", i))
				data := lg.AppendMarshal(nil)
				_, groups, err := protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				want, got = append(want, lg), append(got, s.Decode(&groups[0]))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
			s.Reset()
		}
	})
}
