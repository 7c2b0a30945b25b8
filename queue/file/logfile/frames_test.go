package logfile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

func frameOf(i int) []byte {
	g := &protocol.LogGroup{Topic: fmt.Sprint("t", i), Logs: []*protocol.Log{
		{Time: uint32(i), Contents: []*protocol.Log_Content{{Key: "n", Value: strings.Repeat(fmt.Sprint(i, " "), 20)}}},
	}}
	var id protocol.ID
	copy(id.Origin[:], fmt.Sprintf("origin of %06d", i))
	id.Group = uint32(i % 3)
	return protocol.AppendFrame(nil, id, protocol.Key{Project: "p", Logstore: fmt.Sprint("l", i/10), Config: "c"}, g.AppendMarshal(nil))
}

func framesOf(n int) (file []byte, ends []int) {
	for i := range n {
		file = append(file, frameOf(i)...)
		ends = append(ends, len(file))
	}
	return file, ends
}

// topics are the groups that came, by what frameOf gave them.
func (a *all) topics(t testing.TB) (topics []string) {
	for _, g := range a.groups(t) {
		topics = append(topics, g.Topic)
	}
	return topics
}

func TestFramesKeepTheirIDAndKey(t *testing.T) {
	t.Parallel()
	file, ends := framesOf(40)
	for _, how := range compressions {
		cfg := DefaultConfig()
		s := sliceOf(t, &cfg, written(t, "a", compressed(t, how, file[:ends[3]], file[ends[3]:])))
		in := inputOf(t, &cfg)
		a, err := readAll(in, &s, 0, 3000)
		if err != nil || len(a.messages) != 40 || len(a.damage) > 0 || a.next != int64(len(file)) {
			t.Fatalf("%s: %d messages, next %d, damage %v, %v", how, len(a.messages), a.next, a.damage, err)
		}
		for i := range a.messages {
			m := &a.messages[i]
			if got := string(a.origins[i][:]); got != fmt.Sprintf("origin of %06d", i) {
				t.Errorf("the origin of frame %d is %q", i, got)
			}
			want := map[string]string{
				protocol.HeaderProject: "p", protocol.HeaderLogstore: fmt.Sprint("l", i/10), protocol.HeaderConfig: "c",
				protocol.HeaderContentType: protocol.TypeLogGroup,
			}
			if i%3 > 0 {
				want[queue.HeaderGroups] = fmt.Sprint(i % 3)
			}
			got := map[string]string{}
			for _, h := range m.Headers {
				got[h.Key] = h.Value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers of frame %d: %s", i, diff)
			}
		}
		resumes(t, in, &s, &a)
	}
}

func TestFramesWithoutAnIDGetTheirPlace(t *testing.T) {
	t.Parallel()
	frame := protocol.AppendFrame(nil, protocol.ID{}, protocol.Key{}, (&protocol.LogGroup{}).AppendMarshal(nil))
	cfg := DefaultConfig()
	s := sliceOf(t, &cfg, written(t, "a", bytes.Repeat(frame, 2)))
	a, err := readAll(inputOf(t, &cfg), &s, 0, 1)
	if err != nil || len(a.messages) != 2 || a.origins[0] == a.origins[1] || a.origins[0] == (queue.Origin{}) {
		t.Fatalf("%v, %v", a.origins, err)
	}
	if len(a.messages[0].Headers) != 1 {
		t.Errorf("headers %v", a.messages[0].Headers)
	}
}

func TestDamagedFramesArePassedOverToTheNext(t *testing.T) {
	t.Parallel()
	clean, ends := framesOf(10)
	begin := func(i int) int { return ends[i-1] }
	names := func(but ...int) (out []string) {
		for i := range 10 {
			if !slices.Contains(but, i) {
				out = append(out, fmt.Sprint("t", i))
			}
		}
		return out
	}
	flip := func(at ...int) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, i := range at {
				b[i] ^= 0x10
			}
			return b
		}
	}
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   []string
		damage [][2]int64
	}{
		{"in a body", flip(begin(4) + 60), names(4), [][2]int64{{int64(begin(4)), int64(ends[4] - begin(4))}}},
		{"in a magic", flip(begin(4)), names(4), [][2]int64{{int64(begin(4)), int64(ends[4] - begin(4))}}},
		{"in a length", flip(begin(4) + 5), names(4), [][2]int64{{int64(begin(4)), int64(ends[4] - begin(4))}}},
		{"in two in a row", flip(begin(4)+60, begin(5)+60), names(4, 5), [][2]int64{
			{int64(begin(4)), int64(ends[4] - begin(4))}, {int64(begin(5)), int64(ends[5] - begin(5))},
		}},
		{"in the first", flip(0), names(0), [][2]int64{{0, int64(ends[0])}}},
		{"in the last", flip(len(clean) - 1), names(9), [][2]int64{{int64(begin(9)), int64(len(clean) - begin(9))}}},
		{"torn tail", func(b []byte) []byte { return b[:len(b)-7] }, names(9), [][2]int64{{int64(begin(9)), int64(len(clean) - begin(9) - 7)}}},
		{"zeros at the end", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, names(), [][2]int64{{int64(len(clean)), 100}}},
		{"bytes missing", func(b []byte) []byte { return slices.Delete(b, begin(4)+50, begin(4)+70) }, names(4), [][2]int64{
			{int64(begin(4)), int64(ends[4] - begin(4) - 20)},
		}},
		{"junk between", func(b []byte) []byte { return slices.Insert(b, begin(4), make([]byte, 2<<20)...) }, names(), [][2]int64{{int64(begin(4)), 2 << 20}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			s := sliceOf(t, &cfg, written(t, "a", c.change(bytes.Clone(clean))))
			in := inputOf(t, &cfg)
			a, err := readAll(in, &s, 0, 3000)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, a.topics(t)); diff != "" {
				t.Error(diff)
			}
			var damage [][2]int64
			for _, d := range a.damage {
				damage = append(damage, [2]int64{d.Offset, d.Length})
			}
			if diff := cmp.Diff(c.damage, damage); diff != "" {
				t.Errorf("%s\n%v", diff, a.damage)
			}
			if a.next != s.Size {
				t.Errorf("next is %d of %d", a.next, s.Size)
			}
			resumes(t, in, &s, &a)
		})
	}
}
