package protocol_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
)

func TestJSONShapes(t *testing.T) {
	t.Parallel()
	g := &protocol.LogGroup{
		Topic: "t", Source: "192.0.2.1",
		LogTags: []*protocol.LogTag{{Key: "__path__", Value: "/a"}, nil, {Key: "level", Value: "tag"}, {Key: "time_ns", Value: "x"}},
		Logs: []*protocol.Log{
			{Time: 1700000000, Contents: contents("level", "WARN", "msg", "1", "msg", "2", "host.ip", "mine")},
			nil,
			{Time: 1700000001, TimeNs: ptr(uint32(5)), Contents: append(contents("level", "WARN"), nil)},
			{Time: 4294967295},
		},
	}
	for name, c := range map[string]struct {
		o    protocol.JSONOptions
		want string
	}{
		"flatten": {protocol.JSONOptions{Flatten: true}, `
{"msg":"2","__path__":"/a","level":"tag","time_ns":"x","host.ip":"192.0.2.1","log.topic":"t","time":1700000000}
{"__path__":"/a","level":"tag","host.ip":"192.0.2.1","log.topic":"t","time":1700000001,"time_ns":5}
{"__path__":"/a","level":"tag","time_ns":"x","host.ip":"192.0.2.1","log.topic":"t","time":4294967295}
`},
		"flatten, contents only": {protocol.JSONOptions{Flatten: true, NoTags: true, Time: protocol.JSONMillis, TimeName: "level"}, `
{"msg":"2","host.ip":"mine","level":1700000000000}
{"level":1700000001000}
{"level":4294967295000}
`},
		"flatten without a time": {protocol.JSONOptions{Flatten: true, NoTags: true, NoTime: true}, `
{"level":"WARN","msg":"2","host.ip":"mine"}
{"level":"WARN"}
{}
`},
		"renamed": {protocol.JSONOptions{
			TagNames: map[string]string{"level": "", "host.ip": "p", "__path__": "p", "log.topic": "\"t\""}, Time: protocol.JSONRFC3339,
			ContentsName: "c", TagsName: "t", TimeName: "@timestamp",
		}, `
{"c":{"level":"WARN","msg":"1","msg":"2","host.ip":"mine"},"t":{"time_ns":"x","p":"192.0.2.1","\"t\"":"t"},"@timestamp":"2023-11-14T22:13:20Z"}
{"c":{"level":"WARN"},"t":{"time_ns":"x","p":"192.0.2.1","\"t\"":"t"},"@timestamp":"2023-11-14T22:13:21.000000005Z"}
{"c":{},"t":{"time_ns":"x","p":"192.0.2.1","\"t\"":"t"},"@timestamp":"2106-02-07T06:28:15Z"}
`},
		"unique, nanoseconds": {protocol.JSONOptions{Unique: true, NoTags: true, Time: protocol.JSONNanos}, `
{"contents":{"level":"WARN","msg":"2","host.ip":"mine"},"time":1700000000000000000}
{"contents":{"level":"WARN"},"time":1700000001000000005}
{"contents":{},"time":4294967295000000000}
`},
	} {
		s := protocol.NewJSONShape(c.o)
		want := strings.TrimPrefix(c.want, "\n")
		if got := string(s.AppendLines([]byte("> "), g)); got != "> "+want {
			t.Errorf("%s: got\n%s\nwant\n> %s", name, got, want)
		}
		if got, want := string(s.AppendElements(nil, g)), strings.ReplaceAll(want, "\n", ","); got != want {
			t.Errorf("%s: got the elements\n%s\nwant\n%s", name, got, want)
		}
		for i, line := range strings.Split(strings.TrimSuffix(want, "\n"), "\n") {
			l := []*protocol.Log{g.Logs[0], g.Logs[2], g.Logs[3]}[i]
			if got := string(s.AppendLog(nil, g, l)); got != line {
				t.Errorf("%s: got the log %s, want %s", name, got, line)
			}
		}
	}
}

// anyShape draws options, with names that meet those of groups.
func anyShape(t *rapid.T) protocol.JSONOptions {
	name := rapid.SampledFrom([]string{"", "k", "level", "time", "time_ns", "contents", "\"", "\xff", "\ufffd"})
	o := protocol.JSONOptions{
		Flatten: rapid.Bool().Draw(t, "flatten"), Unique: rapid.Bool().Draw(t, "unique"),
		NoTags: rapid.Bool().Draw(t, "no tags"), NoTime: rapid.Bool().Draw(t, "no time"), NoTimeNs: rapid.Bool().Draw(t, "no ns"),
		Time: protocol.JSONTime(rapid.IntRange(0, 3).Draw(t, "time")),
	}
	if rapid.Bool().Draw(t, "renames") {
		o.TagNames = rapid.MapOf(name, name).Draw(t, "tags")
	}
	look := func(s string) string { return string([]rune(s)) }
	if names := rapid.SliceOfNDistinct(name.Filter(func(s string) bool { return s != "" }), 4, 4, look).Draw(t, "names"); rapid.Bool().Draw(t, "named") {
		o.ContentsName, o.TagsName, o.TimeName, o.TimeNsName = names[0], names[1], names[2], names[3]
	}
	return o
}

// crowd gives a log so many names, some of them twice, that they are hashed.
func crowd(t *rapid.T, g *protocol.LogGroup) {
	for _, l := range g.Logs {
		for range rapid.SampledFrom([]int{0, 0, 20, 70}).Draw(t, "more contents") {
			key := rapid.SampledFrom([]string{"k", "level", "time", "\xff", "\xfe"}).Draw(t, "more")
			l.Contents = append(l.Contents, contents(fmt.Sprint(key, rapid.IntRange(0, 40).Draw(t, "of")), "v")...)
		}
	}
}

// What a shape writes is what encoding/json writes of maps that are filled in the
// order of iLogtail, and no name stands twice where that is promised.
func TestJSONShapesAreWhatMapsHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, o := drawGroup(t, "group"), anyShape(t)
		crowd(t, g)
		lines := protocol.NewJSONShape(o).AppendLines(nil, g)
		var got []map[string]any
		for line := range bytes.Lines(lines) {
			twice, err := twiceIn(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if twice != "" && (o.Flatten || o.Unique) {
				t.Fatalf("%q stands twice in %s", twice, line)
			}
			var back map[string]any
			d := json.NewDecoder(bytes.NewReader(line))
			d.UseNumber()
			if err := d.Decode(&back); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			got = append(got, back)
		}
		var want []map[string]any
		for _, l := range g.Logs {
			want = append(want, mapsOf(o, g, l))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%+v: (-want +got)\n%s", o, diff)
		}
	})
}

// mapsOf is the log as the maps of iLogtail's converter would hold it.
func mapsOf(o protocol.JSONOptions, g *protocol.LogGroup, l *protocol.Log) map[string]any {
	shown := func(s string) string { return string([]rune(s)) }
	member := func(name, otherwise string) string {
		if name == "" {
			return otherwise
		}
		return shown(name)
	}
	all := map[string]any{}
	c, tags := map[string]any{}, map[string]any{}
	for _, p := range l.Contents {
		c[shown(p.Key)] = shown(p.Value)
	}
	tag := func(key, value string) {
		if name, renamed := o.TagNames[key]; renamed {
			if key = name; key == "" {
				return
			}
		}
		tags[shown(key)] = shown(value)
	}
	for _, p := range g.LogTags {
		tag(p.Key, p.Value)
	}
	if g.Source != "" {
		tag("host.ip", g.Source)
	}
	if g.Topic != "" {
		tag("log.topic", g.Topic)
	}
	switch {
	case o.NoTags:
		clear(tags)
	case !o.Flatten:
		all[member(o.TagsName, "tags")] = tags
	}
	if o.Flatten {
		maps.Copy(all, c)
		maps.Copy(all, tags)
	} else {
		all[member(o.ContentsName, "contents")] = c
	}
	if !o.NoTime {
		at := time.Unix(int64(l.Time), 0).UTC()
		layout := "2006-01-02T15:04:05Z"
		if l.TimeNs != nil {
			at, layout = at.Add(time.Duration(*l.TimeNs)), "2006-01-02T15:04:05.000000000Z"
		}
		name := member(o.TimeName, "time")
		switch o.Time {
		case protocol.JSONSeconds:
			all[name] = number(int64(l.Time))
			if l.TimeNs != nil && !o.NoTimeNs {
				all[member(o.TimeNsName, "time_ns")] = number(int64(*l.TimeNs))
			}
		case protocol.JSONMillis:
			all[name] = number(at.UnixMilli())
		case protocol.JSONNanos:
			all[name] = number(at.UnixNano())
		case protocol.JSONRFC3339:
			all[name] = at.Format(layout)
		}
	}
	return all
}

func number(n int64) json.Number { return json.Number(fmt.Sprint(n)) }

// twiceIn finds a name that stands twice in an object or one inside it.
func twiceIn(text []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	var open []map[string]bool
	twice, isName := "", false
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return twice, nil
		} else if err != nil {
			return "", err
		}
		switch tok {
		case json.Delim('{'):
			open, isName = append(open, map[string]bool{}), true
			continue
		case json.Delim('}'):
			open, isName = open[:len(open)-1], true
			continue
		}
		if isName {
			name, seen := tok.(string), open[len(open)-1]
			if seen[name] {
				twice = name
			}
			seen[name] = true
		}
		isName = !isName
	}
}

// What a shape writes is read back by this package, the time included.
func TestJSONShapesAreReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := drawGroup(t, "group")
		o := protocol.JSONOptions{Flatten: rapid.Bool().Draw(t, "flatten"), Unique: true, Time: protocol.JSONTime(rapid.IntRange(0, 3).Draw(t, "time"))}
		if o.Flatten {
			o.TimeName = rapid.SampledFrom([]string{"", "__time__", "@timestamp"}).Draw(t, "name")
		}
		format := protocol.FormatJSONSingle
		if o.Flatten {
			format = protocol.FormatJSONFlat
		}
		for i, l := range g.Logs {
			l.Time = max(l.Time, 100_000_000) // a smaller number of milliseconds would be one of seconds
			if l.TimeNs != nil {
				*l.TimeNs %= 1e9
			}
			line := protocol.NewJSONShape(o).AppendLog(nil, g, l)
			read, err := readJSON(line, format)
			if err != nil || len(read) != 1 || len(read[0].Logs) != 1 {
				t.Fatalf("log %d: %s: %v, %v", i, line, read, err)
			}
			checkReadBack(t, line, o, g, l, read[0])
		}
	})
}

// checkReadBack compares what was read: names and values, and then the time.
func checkReadBack(t *rapid.T, line []byte, o protocol.JSONOptions, g *protocol.LogGroup, l *protocol.Log, read *protocol.LogGroup) {
	back := read.Logs[0]
	o.NoTime = true
	want := mapsOf(o, g, l)
	if o.Flatten {
		for _, name := range []string{"time", "time_ns", "__time__", "@timestamp"} { // may be read as the time
			delete(want, name)
			back.Contents = slices.DeleteFunc(back.Contents, func(c *protocol.Log_Content) bool { return c.Key == name })
		}
	}
	if diff := cmp.Diff(want, mapsOf(o, read, back)); diff != "" {
		t.Fatalf("%s: (-want +got)\n%s", line, diff)
	}
	ns := nanosOf(l)
	if o.Time == protocol.JSONMillis {
		ns -= ns % 1e6
	}
	if back.Time != l.Time || nanosOf(back) != ns {
		t.Fatalf("%s: read as %d and %d, want %d and %d", line, back.Time, nanosOf(back), l.Time, ns)
	}
}

func nanosOf(l *protocol.Log) uint32 {
	if l.TimeNs == nil {
		return 0
	}
	return *l.TimeNs
}

// The groups of a message go: writing them allocates nothing once the buffer is
// large enough, in every shape.
func TestJSONShapesDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes from pools at random")
	}
	g := sample(100)
	g.Logs[50].Contents = append(g.Logs[50].Contents, g.Logs[50].Contents...) // many, and all twice
	for _, o := range []protocol.JSONOptions{{}, {Flatten: true}, {Unique: true, Time: protocol.JSONRFC3339}, {TagNames: map[string]string{"__path__": "path"}}} {
		s := protocol.NewJSONShape(o)
		dst := s.AppendLines(nil, g)
		if n := testing.AllocsPerRun(100, func() { dst = s.AppendLines(dst[:0], g) }); n > 0 {
			t.Errorf("%+v: AppendLines allocates %v times", o, n)
		}
		if n := testing.AllocsPerRun(100, func() { dst = s.AppendLog(dst[:0], g, g.Logs[50]) }); n > 0 {
			t.Errorf("%+v: AppendLog allocates %v times", o, n)
		}
	}
}

// FuzzJSONShape: whatever stands in a log, its object is JSON, and no name stands twice
// in it.
func FuzzJSONShape(f *testing.F) {
	for _, s := range []string{"", "time", "a\x00b\x00a", "\xff\x00\xfe", "日本\x00\"\\\x00\u2028", strings.Repeat("k\x00", 60)} {
		f.Add(s, "time", uint32(7))
	}
	f.Fuzz(func(t *testing.T, text, tag string, at uint32) {
		var pairs []string
		for _, s := range strings.Split(text, "\x00") {
			pairs = append(pairs, s, s)
		}
		g := &protocol.LogGroup{
			Source: tag, LogTags: []*protocol.LogTag{{Key: tag, Value: text}},
			Logs: []*protocol.Log{{Time: at, TimeNs: &at, Contents: contents(pairs...)}, {Time: at, Contents: contents(pairs...)}},
		}
		for _, o := range []protocol.JSONOptions{{Flatten: true}, {Unique: true, Time: protocol.JSONTime(at % 4), TagNames: map[string]string{"host.ip": tag}}} {
			for line := range bytes.Lines(protocol.NewJSONShape(o).AppendLines(nil, g)) {
				if twice, err := twiceIn(line); err != nil || twice != "" {
					t.Fatalf("%s: %q stands twice, %v", line, twice, err)
				}
			}
		}
	})
}
