package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
)

func TestAppendJSONLog(t *testing.T) {
	t.Parallel()
	g := &protocol.LogGroup{
		Topic: "t", Source: "192.0.2.1",
		LogTags: []*protocol.LogTag{{Key: "__path__", Value: "/a"}, nil},
		Logs: []*protocol.Log{
			{Time: 1700000000, Contents: []*protocol.Log_Content{{Key: "level", Value: "WARN"}, nil, {Key: "msg", Value: "<b> & \"q\"\n"}}},
			nil,
			{Time: 4294967295, TimeNs: ptr(uint32(5))},
		},
	}
	const first = `{"contents":{"level":"WARN","msg":"<b> & \"q\"\n"},"tags":{"__path__":"/a","host.ip":"192.0.2.1","log.topic":"t"},"time":1700000000}`
	const second = `{"contents":{},"tags":{"__path__":"/a","host.ip":"192.0.2.1","log.topic":"t"},"time":4294967295,"time_ns":5}`
	if got := string(protocol.AppendJSONLog([]byte("> "), g, g.Logs[0])); got != "> "+first {
		t.Errorf("got  %s\nwant > %s", got, first)
	}
	if got := string(protocol.AppendJSONLines([]byte("> "), g)); got != "> "+first+"\n"+second+"\n" {
		t.Errorf("got  %s", got)
	}
	bare := &protocol.LogGroup{Logs: []*protocol.Log{{Time: 1}}}
	if got := string(protocol.AppendJSONLines(nil, bare)); got != `{"contents":{},"tags":{},"time":1}`+"\n" {
		t.Errorf("got  %s", got)
	}
}

func checkJSONString(t interface{ Fatalf(string, ...any) }, s string) {
	got := protocol.AppendJSONString(nil, s)
	var back string
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatalf("%q: %s is not JSON: %v", s, got, err)
	}
	want, err := json.Marshal(s) // replaces what is no UTF-8
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	var wanted string
	if err := json.Unmarshal(want, &wanted); err != nil || back != wanted {
		t.Fatalf("%q: got %q, want %q (%v)", s, back, wanted, err)
	}
	if !utf8.Valid(got) {
		t.Fatalf("%q: %q is no UTF-8", s, got)
	}
}

// Each byte value at each place of a word, so that each lane of the eight-byte
// scan meets each class of byte.
func TestJSONStringsOfEveryByteAtEveryPlace(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 17 {
			s := []byte(strings.Repeat("a", 17))
			s[at] = byte(c)
			checkJSONString(t, string(s))
		}
	}
}

func FuzzJSONString(f *testing.F) {
	for _, s := range []string{"", "plain text of some length", "日本語のログ", "\xff\xfe", "a\xe6\x97", "\x00\x1f\x7f", "\"\\\b\f\n\r\t", "\u2028\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkJSONString(t, s) })
}

func TestJSONLogsAreReadBack(t *testing.T) {
	t.Parallel()
	valid := func(s string) string { return strings.ToValidUTF8(s, "") }
	rapid.Check(t, func(t *rapid.T) {
		g := drawGroup(t, "group")
		g.Topic, g.Source = "", ""
		for _, tag := range g.LogTags {
			tag.Key, tag.Value = valid(tag.Key), valid(tag.Value)
		}
		for _, l := range g.Logs {
			l.Values = nil
			if l.TimeNs != nil {
				*l.TimeNs %= 1e9
			}
			for _, c := range l.Contents {
				c.Key, c.Value = valid(c.Key), valid(c.Value)
			}
			line := protocol.AppendJSONLog(nil, g, l)
			got, tags, err := protocol.ParseJSONLog(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if diff := cmp.Diff(l, got); diff != "" {
				t.Fatalf("%s: %s", line, diff)
			}
			if diff := cmp.Diff(g.LogTags, tags); diff != "" {
				t.Fatalf("%s: %s", line, diff)
			}
		}
	})
}

func contents(pairs ...string) (all []*protocol.Log_Content) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &protocol.Log_Content{Key: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func TestParseJSONLog(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]*protocol.Log{
		`{}`:                               {},
		`{"contents":{}}`:                  {},
		`{"contents":{"n":1},"tags":null}`: {Contents: contents("n", "1")},
		`{"contents":{},"time":"2023-11-14T22:13:20Z"}`: {Time: 1700000000},
		`{"contents":{},"time_ns":7,"time":1}`:          {Time: 1, TimeNs: ptr(uint32(7))},
		// flat, because another member stands beside contents, or contents is no object
		`{"contents":{"a":1},"level":"x"}`: {Contents: contents("contents", `{"a":1}`, "level", "x")},
		`{"contents":"text","time":5}`:     {Time: 5, Contents: contents("contents", "text")},
		// flat
		` {"a":"x","b":1.50,"c":true,"d":null,"e":{"f": [1, 2]},"a":"again"} `: {
			Contents: contents("a", "x", "b", "1.50", "c", "true", "d", "", "e", `{"f":[1,2]}`, "a", "again"),
		},
		`{"__time__":1700000000,"time":"12:03"}`:         {Time: 1700000000, Contents: contents("time", "12:03")},
		`{"time":"12:03"}`:                               {Contents: contents("time", "12:03")},
		`{"time":true}`:                                  {Contents: contents("time", "true")},
		`{"time":-1}`:                                    {Contents: contents("time", "-1")},
		`{"time":4294967296}`:                            {Contents: contents("time", "4294967296")},
		`{"time":1e999}`:                                 {Contents: contents("time", "1e999")},
		`{"time":1700000000.25}`:                         {Time: 1700000000, TimeNs: ptr(uint32(250000000))},
		`{"time":"1700000000"}`:                          {Time: 1700000000},
		`{"time":1700000000123}`:                         {Time: 1700000000, TimeNs: ptr(uint32(123000000))},
		`{"time":1700000000123456}`:                      {Time: 1700000000, TimeNs: ptr(uint32(123456000))},
		`{"time":1700000000123456789}`:                   {Time: 1700000000, TimeNs: ptr(uint32(123456789))},
		`{"@timestamp":"2023-11-14T23:13:20.5+01:00"}`:   {Time: 1700000000, TimeNs: ptr(uint32(500000000))},
		`{"@timestamp":"2023-11-14T22:13:20Z","time":7}`: {Time: 7, Contents: contents("@timestamp", "2023-11-14T22:13:20Z")},
		`{"time":1,"time_ns":999999999}`:                 {Time: 1, TimeNs: ptr(uint32(999999999))},
		`{"time":1,"time_ns":1000000000}`:                {Time: 1, Contents: contents("time_ns", "1000000000")},
		`{"time_ns":5}`:                                  {Contents: contents("time_ns", "5")},
	} {
		got, tags, err := protocol.ParseJSONLog([]byte(line))
		if err != nil || tags != nil {
			t.Errorf("%s: %v, tags %v", line, err, tags)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

func TestParseJSONLogRefuses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		``:                                      "the line is empty",
		`[1]`:                                   `a log is an object {...}, this begins with "[1]"`,
		`plain text`:                            "byte 0: invalid character 'p'",
		`{"a":1`:                                "the object is cut off at byte 6",
		`{"a":1,}`:                              "invalid character '}'",
		`{"a":1} {"b":2}`:                       `more follows the object at byte 7: "{\"b\":2}"`,
		`{"a" 1}`:                               "byte 5: ",
		`{"contents":{},"time":"yesterday"}`:    `"time" is "yesterday": use seconds since 1970 or RFC 3339`,
		`{"contents":{},"time":1,"time_ns":-1}`: `"time_ns" is -1`,
	} {
		_, _, err := protocol.ParseJSONLog([]byte(line))
		if err == nil || !strings.HasPrefix(err.Error(), "couldn't read a JSON log: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

// FuzzParseJSONLog: it reads all JSON objects and nothing else, and what it reads
// survives being written and read again.
func FuzzParseJSONLog(f *testing.F) {
	for _, s := range []string{
		`{"contents":{"a":"b"},"tags":{"c":"d"},"time":1,"time_ns":2}`, `{"time":1.5}`, `{"a":[{"b":null}]}`,
		`{"@timestamp":"2023-11-14T22:13:20Z"}`, `{"\ud800":"\u0000"}`, `{`, `{} {}`, `[]`, `{"time":99999999999999999999999}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		l, tags, err := protocol.ParseJSONLog(line)
		var object map[string]json.RawMessage
		isObject := json.Unmarshal(line, &object) == nil && object != nil
		if err == nil && !isObject {
			t.Fatalf("%q was read, encoding/json refuses it", line)
		}
		if err != nil {
			if isObject && !strings.Contains(err.Error(), `"time`) {
				t.Fatalf("%q was refused: %v", line, err)
			}
			return
		}
		again, tags2, err := protocol.ParseJSONLog(protocol.AppendJSONLog(nil, &protocol.LogGroup{LogTags: tags}, l))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]any{l, tags}, []any{again, tags2}); diff != "" {
			t.Fatal(diff)
		}
	})
}

func BenchmarkJSONLines(b *testing.B) {
	eachSample(b, func(b *testing.B, data []byte) {
		var g protocol.LogGroup
		if err := g.Unmarshal(data); err != nil {
			b.Fatal(err)
		}
		var dst []byte
		for b.Loop() {
			dst = protocol.AppendJSONLines(dst[:0], &g)
		}
	})
}
