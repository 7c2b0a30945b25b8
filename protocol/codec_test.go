package protocol_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/protocol/internal/slspb"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ptr[T any](v T) *T { return &v }

type message interface {
	Size() int
	Marshal() ([]byte, error)
	AppendMarshal(dst []byte) []byte
	Unmarshal(data []byte) error
}

var (
	_ message = (*protocol.Log)(nil)
	_ message = (*protocol.LogTag)(nil)
	_ message = (*protocol.LogGroup)(nil)
	_ message = (*protocol.LogGroupList)(nil)
)

// The first two are what gogofaster was seen to write for the same values.
func TestMarshalWritesTheBytesOfGogofaster(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		m    message
		want string
	}{
		{"an empty group still has its four strings", &protocol.LogGroup{}, "12 00 1a 00 22 00 2a 00"},
		{
			"required fields are written when zero",
			&protocol.Log{Contents: []*protocol.Log_Content{{Key: "k"}}},
			"08 00 12 05 0a 01 6b 12 00",
		},
		{
			"all fields of a log, in the order of their numbers",
			&protocol.Log{Time: 300, Values: []string{"v", ""}, TimeNs: ptr(uint32(0x01020304))},
			"08 ac 02 1a 01 76 1a 00 25 04 03 02 01",
		},
		{"a zero nanosecond part is a part", &protocol.Log{TimeNs: new(uint32)}, "08 00 25 00 00 00 00"},
		{"a tag", &protocol.LogTag{Key: "a", Value: "b"}, "0a 01 61 12 01 62"},
		{
			"a group", &protocol.LogGroup{
				Logs: []*protocol.Log{{Time: 1}}, Category: "c", LogTags: []*protocol.LogTag{{Key: "t"}},
			},
			"0a 02 08 01 12 01 63 1a 00 22 00 2a 00 32 05 0a 01 74 12 00",
		},
		{
			"a list", &protocol.LogGroupList{LogGroupList: []*protocol.LogGroup{{}, {}}},
			"0a 08 12 00 1a 00 22 00 2a 00 0a 08 12 00 1a 00 22 00 2a 00",
		},
		{
			"nil elements are left out",
			&protocol.LogGroupList{LogGroupList: []*protocol.LogGroup{nil, {
				Logs:    []*protocol.Log{nil, {Contents: []*protocol.Log_Content{nil}}},
				LogTags: []*protocol.LogTag{nil},
			}}},
			"0a 0c 0a 02 08 00 12 00 1a 00 22 00 2a 00",
		},
		{"a nil group", (*protocol.LogGroup)(nil), ""},
	} {
		want := unhex(t, c.want)
		got, err := c.m.Marshal()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got % x (%v), want % x", c.name, got, err, want)
		}
		if c.m.Size() != len(want) {
			t.Errorf("%s: Size is %d, want %d", c.name, c.m.Size(), len(want))
		}
		if got := c.m.AppendMarshal([]byte("x")); string(got) != "x"+string(want) {
			t.Errorf("%s: AppendMarshal gives % x", c.name, got)
		}
	}
}

// drawGroup draws groups of any shape, with strings of any length class.
func drawGroup(t *rapid.T, label string) *protocol.LogGroup {
	str := rapid.OneOf(
		rapid.SampledFrom([]string{"", "k", "level", strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("z", 20000)}),
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	g := &protocol.LogGroup{
		Category: str.Draw(t, label+" category"), Topic: str.Draw(t, label+" topic"),
		Source: str.Draw(t, label+" source"), MachineUUID: str.Draw(t, label+" uuid"),
	}
	for range rapid.IntRange(0, 5).Draw(t, label+" logs") {
		l := &protocol.Log{Time: rapid.Uint32().Draw(t, "time")}
		for range rapid.IntRange(0, 4).Draw(t, "contents") {
			l.Contents = append(l.Contents, &protocol.Log_Content{Key: str.Draw(t, "key"), Value: str.Draw(t, "value")})
		}
		for range rapid.IntRange(0, 2).Draw(t, "values") {
			l.Values = append(l.Values, str.Draw(t, "value"))
		}
		if rapid.Bool().Draw(t, "has ns") {
			l.TimeNs = ptr(rapid.Uint32().Draw(t, "ns"))
		}
		g.Logs = append(g.Logs, l)
	}
	for range rapid.IntRange(0, 3).Draw(t, label+" tags") {
		g.LogTags = append(g.LogTags, &protocol.LogTag{Key: str.Draw(t, "tag"), Value: str.Draw(t, "tag value")})
	}
	return g
}

// reference is the same group as google.golang.org/protobuf knows it.
func reference(g *protocol.LogGroup) *slspb.LogGroup {
	r := &slspb.LogGroup{Category: &g.Category, Topic: &g.Topic, Source: &g.Source, MachineUUID: &g.MachineUUID}
	for _, l := range g.Logs {
		rl := &slspb.Log{Time: &l.Time, Values: l.Values, TimeNs: l.TimeNs}
		for _, c := range l.Contents {
			rl.Contents = append(rl.Contents, &slspb.Log_Content{Key: &c.Key, Value: &c.Value})
		}
		r.Logs = append(r.Logs, rl)
	}
	for _, tag := range g.LogTags {
		r.LogTags = append(r.LogTags, &slspb.LogTag{Key: &tag.Key, Value: &tag.Value})
	}
	return r
}

func TestMarshalAgreesWithGoogleProtobuf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGroup(t, "group")
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(reference(g))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := g.Marshal()
		if !bytes.Equal(got, want) {
			t.Fatalf("got % x\nwant % x", got, want)
		}
		if g.Size() != len(got) {
			t.Fatalf("Size is %d of %d", g.Size(), len(got))
		}
		var back protocol.LogGroup
		if err := back.Unmarshal(got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(g, &back); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestUnmarshalOfEachMessage(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGroup(t, "group")
		list := &protocol.LogGroupList{LogGroupList: []*protocol.LogGroup{g, drawGroup(t, "other")}}
		data, _ := list.Marshal()
		var back protocol.LogGroupList
		if err := back.Unmarshal(data); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(list, &back); diff != "" {
			t.Fatal(diff)
		}
		for _, want := range g.Logs {
			data, _ := want.Marshal()
			got := protocol.Log{Time: 9, Values: []string{"replaced"}}
			if err := got.Unmarshal(data); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Fatal(diff)
			}
		}
		for _, want := range g.LogTags {
			data, _ := want.Marshal()
			var got protocol.LogTag
			if err := got.Unmarshal(data); err != nil || got != *want {
				t.Fatalf("got %v (%v), want %v", got, err, *want)
			}
		}
	})
}

func TestUnmarshalKeepsNoReferenceToItsInput(t *testing.T) {
	t.Parallel()
	want := sample(3)
	data := want.AppendMarshal(nil)
	var g protocol.LogGroup
	if err := g.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if diff := cmp.Diff(want, &g); diff != "" {
		t.Error(diff)
	}
}

func TestUnmarshalSaysWhereItFailed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		m    message
		data string
		want string
	}{
		{new(protocol.Log), "08 01 12 05 0a", "couldn't unmarshal a Log: a length goes beyond the end (byte 3 of 5)"},
		{new(protocol.LogTag), "0a 01", "couldn't unmarshal a LogTag: a length goes beyond the end (byte 1 of 2)"},
		{new(protocol.LogGroup), "12", "couldn't unmarshal a LogGroup: a length is cut off or longer than 64 bits (byte 1 of 1)"},
	} {
		if err := c.m.Unmarshal(unhex(t, c.data)); err == nil || err.Error() != c.want {
			t.Errorf("%T %s: got %v, want %s", c.m, c.data, err, c.want)
		}
	}
}

func TestAppendListEntryKeepsBytes(t *testing.T) {
	t.Parallel()
	var data []byte
	want := protocol.LogGroupList{}
	for _, n := range []int{0, 1, 50} {
		g := sample(n)
		data = protocol.AppendListEntry(data, g.AppendMarshal(nil))
		want.LogGroupList = append(want.LogGroupList, g)
	}
	if got := want.AppendMarshal(nil); !bytes.Equal(got, data) {
		t.Error("the list differs from the marshalled one")
	}
}

func TestJSONTagsAreThoseOfTheGeneratedCode(t *testing.T) {
	t.Parallel()
	l := protocol.Log{Time: 1, Contents: []*protocol.Log_Content{{Key: "a", Value: "<b>"}}, TimeNs: ptr(uint32(5))}
	got, err := json.Marshal(&l)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Time":1,"Contents":[{"Key":"a","Value":"\u003cb\u003e"}],"Time_ns":5}`
	if string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
