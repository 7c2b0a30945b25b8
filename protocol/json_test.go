package protocol_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

// What AppendJSONLines writes is read as it was, but for what it does not write.
func TestJSONLogsAreReadBack(t *testing.T) {
	t.Parallel()
	valid := func(s string) string { return strings.ToValidUTF8(s, "") }
	rapid.Check(t, func(t *rapid.T) {
		g := drawGroup(t, "group")
		g.Category, g.MachineUUID = "", ""
		g.Topic, g.Source = valid(g.Topic), valid(g.Source)
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
		}
		if len(g.Logs) == 0 {
			return
		}
		lines := protocol.AppendJSONLines(nil, g)
		for _, f := range []protocol.Format{protocol.FormatJSON, protocol.FormatJSONSingle} {
			got, err := readJSON(lines, f)
			if err != nil {
				t.Fatalf("%s: %v", lines, err)
			}
			if diff := cmp.Diff([]*protocol.LogGroup{g}, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s: %s", lines, diff)
			}
		}
	})
}

// readJSON is both passes; logs without a time have 0.
func readJSON(value []byte, f protocol.Format) (all []*protocol.LogGroup, err error) {
	_, groups, err := protocol.Scan(value, f, protocol.EncodingNone, nil, nil)
	for i := range groups {
		all = append(all, groups[i].Decode())
	}
	return all, err
}

func contents(pairs ...string) (all []*protocol.Log_Content) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &protocol.Log_Content{Key: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func TestJSONLogs(t *testing.T) {
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
		`{"__time__":1700000000,"time":"12:03"}`:             {Time: 1700000000, Contents: contents("time", "12:03")},
		`{"time":"12:03"}`:                                   {Contents: contents("time", "12:03")},
		`{"time":true}`:                                      {Contents: contents("time", "true")},
		`{"time":-1}`:                                        {Contents: contents("time", "-1")},
		`{"time":4294967296}`:                                {Contents: contents("time", "4294967296")},
		`{"time":1e999}`:                                     {Contents: contents("time", "1e999")},
		`{"time":1700000000.25}`:                             {Time: 1700000000, TimeNs: ptr(uint32(250000000))},
		`{"time":"1700000000"}`:                              {Time: 1700000000},
		`{"time":1700000000123}`:                             {Time: 1700000000, TimeNs: ptr(uint32(123000000))},
		`{"time":1700000000123456}`:                          {Time: 1700000000, TimeNs: ptr(uint32(123456000))},
		`{"time":1700000000123456789}`:                       {Time: 1700000000, TimeNs: ptr(uint32(123456789))},
		`{"@timestamp":"2023-11-14T23:13:20.5+01:00"}`:       {Time: 1700000000, TimeNs: ptr(uint32(500000000))},
		`{"@timestamp":"2023-11-14T22:13:20Z","time":7}`:     {Time: 7, Contents: contents("@timestamp", "2023-11-14T22:13:20Z")},
		`{"time":1,"time_ns":999999999}`:                     {Time: 1, TimeNs: ptr(uint32(999999999))},
		`{"time":1,"time_ns":1000000000}`:                    {Time: 1, Contents: contents("time_ns", "1000000000")},
		`{"time_ns":5}`:                                      {Contents: contents("time_ns", "5")},
		`{"time_ns":5,"time":2,"time_ns":6}`:                 {Time: 2, TimeNs: ptr(uint32(5)), Contents: contents("time_ns", "6")},
		`{"a":"1","time_ns":5,"b":"2","__time__":3,"c":"4"}`: {Time: 3, TimeNs: ptr(uint32(5)), Contents: contents("a", "1", "b", "2", "c", "4")},
		`{"time":00}`:                                        nil,
		`{"time":"9999-12-31T00:00:00Z"}`:                    {Contents: contents("time", "9999-12-31T00:00:00Z")},
		`{"time":"2023-11-14 22:13:20Z"}`:                    {Contents: contents("time", "2023-11-14 22:13:20Z")},
		`{"time":99999999999999999999}`:                      {Contents: contents("time", "99999999999999999999")},
		`{"time":99999999999}`:                               {Contents: contents("time", "99999999999")},
		`{"time":100000000000}`:                              {Time: 100000000},
		`{"time":99999999999999}`:                            {Contents: contents("time", "99999999999999")},
		`{"time":100000000000000.5}`:                         {Time: 100000000, TimeNs: ptr(uint32(500))},
		`{"time":99999999999999999}`:                         {Contents: contents("time", "99999999999999999")},
		`{"time":100000000000000000.5}`:                      {Time: 100000000},
		`{"time":1700000000.0000000019}`:                     {Time: 1700000000, TimeNs: ptr(uint32(1))},
		// a Log, as json.Marshal writes it
		`{"Time":1,"Contents":[{"Key":"a","Value":"<b>"},null],"Time_ns":5}`: {Time: 1, Contents: contents("a", "<b>"), TimeNs: ptr(uint32(5))},
		`{"Time":4294967295}`: {Time: 4294967295},
		`{"Contents":[{"Value":"v"}],"values":["x","\u0079"],"Time_ns":null}`: {Contents: contents("", "v"), Values: []string{"x", "y"}},
		// flat, because of its names or the kinds of its values
		`{"Time":"12:03","level":"x"}`:              {Contents: contents("Time", "12:03", "level", "x")},
		`{"Time":5,"Contents":"x"}`:                 {Contents: contents("Time", "5", "Contents", "x")},
		`{"Time":5,"Contents":[{"a":1}],"level":1}`: {Contents: contents("Time", "5", "Contents", `[{"a":1}]`, "level", "1")},
		`{"Source":"a","Topic":"b"}`:                {Contents: contents("Source", "a", "Topic", "b")},
		`{"Logs":["a"],"x":null}`:                   {Contents: contents("Logs", `["a"]`, "x", "")},
		`{"time":7,"tags":{"a":"b"},"x":"y"}`:       {Time: 7, Contents: contents("tags", `{"a":"b"}`, "x", "y")},
		// strings
		`{"\u0061\n":"\ud83d\ude00\ud83d \ude00\u00e4\/"}`: {Contents: contents("a\n", "😀\ufffd \ufffdä/")},
	} {
		got, err := readJSON([]byte(line), protocol.FormatJSON)
		if want == nil {
			if err == nil {
				t.Errorf("%s was read", line)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if diff := cmp.Diff([]*protocol.LogGroup{{Logs: []*protocol.Log{want}}}, got); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

func TestJSONIsRefused(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`[1]`:                                   "want an object {...}, found '1' (byte 1 of 3)",
		`plain text`:                            "want an object {...}, found 'p' (byte 0 of 10)",
		`{"a":1`:                                "the text is cut off: want a comma or '}' (byte 6 of 6)",
		`{"a":1,}`:                              "want a name in quotes, found '}' (byte 7 of 8)",
		`{"a":1} {"b":2}`:                       "more follows in the same line (byte 7 of 15)",
		`[{"a":1}],`:                            "more follows in the same line",
		`{"a" 1}`:                               "want a colon, found '1'",
		`{"a":01}`:                              "want a comma or '}', found '1'",
		`{"a":1.}`:                              "want a digit",
		`{"a":nul}`:                             "want a value, found 'n'",
		"{\"a\":\"\n\"}":                        "a control character stands in a string",
		`{"a":"\x"}`:                            "an escape is none of JSON's",
		`{"a":"\u12g4"}`:                        "four hexadecimal digits",
		`{"a":[{"b":"\x"}]}`:                    "an escape is none of JSON's",
		`{"a":"b`:                               "a string is cut off",
		`{"a":"b\`:                              "a string is cut off",
		"{\"a\":\x01}":                          "found byte 0x01",
		`{"contents":{},"time":"yesterday"}`:    `"time" is neither seconds since 1970 nor RFC 3339`,
		`{"contents":{},"time":1,"time_ns":-1}`: `"time_ns" is not the nanosecond part`,
		`{"contents":{},"contents":{}}`:         "contents stands twice in a log",
		`{"contents":{},"tags":{},"tags":null}`: "tags stands twice",
		`{"Time":4294967296,"Contents":[]}`:     `"Time" is not a whole number of seconds`,
		`{"Time":1.5}`:                          `"Time" is not a whole number of seconds`,
		`{"Time":1,"Contents":[{"key":"a"}]}`:   `this is not {"Key":"...","Value":"..."} (byte 22 of 35)`,
		`{"Contents":["a"]}`:                    `this is not {"Key":`,
		`{"Contents":[],"values":[null]}`:       `"values" holds something else than strings`,
		`{"Logs":[{"a":"b"}]}`:                  "Logs holds something else than Logs",
		`{"Logs":["a"],"Topic":"t"}`:            "Logs holds something else than Logs",
		`{"Logs":[],"LogTags":[1]}`:             `this is not {"Key"`,
		strings.Repeat(`{"a":`, 514) + "1" + strings.Repeat("}", 514): "nest too deep",
	} {
		_, err := readJSON([]byte(line), protocol.FormatJSON)
		var undecodable *protocol.UndecodableError
		if !errors.As(err, &undecodable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %q", line, err, want)
		}
	}
	for line, f := range map[string]protocol.Format{
		`{"a":"b"}`: protocol.FormatJSONSingle, `{"contents":{},"x":1}`: protocol.FormatJSONSingle,
		`{"Logs":[]}`: protocol.FormatJSONSingle, `[[]]`: protocol.FormatJSONFlat,
	} {
		if got, err := readJSON([]byte(line), f); err == nil {
			t.Errorf("%s as %v was read: %v", line, f, got)
		}
	}
}

// Consecutive logs with equal tags share a group; a LogGroup is always one.
func TestLogsOfJSONBecomeGroups(t *testing.T) {
	t.Parallel()
	log := func(s string, tags string) string {
		return `{"contents":{"k":"` + s + `"},"tags":{` + tags + `},"time":1}`
	}
	logs := func(values ...string) (all []*protocol.Log) {
		for _, v := range values {
			all = append(all, &protocol.Log{Time: 1, Contents: contents("k", v)})
		}
		return all
	}
	tags := func(pairs ...string) (all []*protocol.LogTag) {
		for _, c := range contents(pairs...) {
			all = append(all, (*protocol.LogTag)(c))
		}
		return all
	}
	for name, c := range map[string]struct {
		value string
		want  []*protocol.LogGroup
	}{
		"lines": {
			log("1", `"a":"x"`) + "\n" + log("2", `"a":"x"`) + "\r\n\n" + log("3", `"a" : "x"`) + "\n" + log("4", `"a":"y"`) + "\n" + log("5", `"a":"x"`) + "\n",
			[]*protocol.LogGroup{
				{Logs: logs("1", "2", "3"), LogTags: tags("a", "x")},
				{Logs: logs("4"), LogTags: tags("a", "y")},
				{Logs: logs("5"), LogTags: tags("a", "x")},
			},
		},
		"an array, then a line": {
			"[" + log("1", ``) + ",\n" + log("2", ``) + " ]\n" + log("3", ``),
			[]*protocol.LogGroup{{Logs: logs("1", "2", "3")}},
		},
		"topic and source": {
			log("1", `"host.ip":"old","b":"c","log.topic":"t","host.ip":"192.0.2.1","host.ip":""`) + "\n" + log("2", `"host.ip":"","log.topic":""`),
			[]*protocol.LogGroup{
				{Logs: logs("1"), Topic: "t", Source: "192.0.2.1", LogTags: tags("host.ip", "old", "b", "c", "host.ip", "")},
				{Logs: logs("2"), LogTags: tags("host.ip", "", "log.topic", "")},
			},
		},
		"LogGroups": {
			`[{"Logs":[{"Time":1,"Contents":[{"Key":"k","Value":"1"}]},null],"Category":"c","Topic":"t\u0061","Source":"s","MachineUUID":"m","LogTags":[{"Key":"a","Value":"x"}]},` +
				`{"Category":"","Topic":"","Source":null,"MachineUUID":""},{"Topic":"t","Logs":[]}]`,
			[]*protocol.LogGroup{
				{Logs: logs("1"), Category: "c", Topic: "ta", Source: "s", MachineUUID: "m", LogTags: tags("a", "x")},
				{},
				{Topic: "t"},
			},
		},
		"a LogGroup between logs": {
			log("1", ``) + "\n" + `{"Logs":[{"Time":1,"Contents":[{"Key":"k","Value":"2"}]}]}` + "\n" + log("3", ``),
			[]*protocol.LogGroup{{Logs: logs("1")}, {Logs: logs("2")}, {Logs: logs("3")}},
		},
		"all shapes without tags": {
			`{"k":"1","__time__":1}` + "\n" + `{"Time":1,"Contents":[{"Key":"k","Value":"2"}]}` + "\n" + log("3", ``),
			[]*protocol.LogGroup{{Logs: logs("1", "2", "3")}},
		},
		"nothing": {" \n[]\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readJSON([]byte(c.value), protocol.FormatJSON)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

// checkJSON compares a reading with the oracle's and with what Marshal makes of it.
func checkJSON(t interface{ Fatalf(string, ...any) }, value []byte, f protocol.Format) {
	body, groups, err := protocol.Scan(value, f, protocol.EncodingNone, nil, nil)
	var got []*protocol.LogGroup
	for i := range groups {
		got = append(got, groups[i].Decode())
	}
	if err == nil && cap(body)-len(body) > len(body)/8 {
		t.Fatalf("%q: %d bytes have room for %d", value, len(body), cap(body))
	}
	if list := (&protocol.LogGroupList{LogGroupList: got}); err == nil && !bytes.Equal(body, list.AppendMarshal(nil)) {
		t.Fatalf("%q: the body %x is not what Marshal writes, %x", value, body, list.AppendMarshal(nil))
	}
	if err != nil && strings.Contains(err.Error(), "nest too deep") || !utf8.Valid(value) {
		return // encoding/json goes deeper, and changes what is no UTF-8
	}
	o := oracle{flat: f == protocol.FormatJSONFlat, single: f == protocol.FormatJSONSingle}
	if valid := o.read(value); valid != (err == nil) {
		t.Fatalf("%q as %v: %v; by encoding/json valid is %v", value, f, err, valid)
	}
	if diff := cmp.Diff(o.groups, got); err == nil && diff != "" {
		t.Fatalf("%q as %v (-encoding/json +ours): %s", value, f, diff)
	}
}

var jsonFormats = []protocol.Format{protocol.FormatJSON, protocol.FormatJSONSingle, protocol.FormatJSONFlat}

// FuzzJSON: what is accepted is what encoding/json accepts, and means the same; the
// body is what Marshal writes of it.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		"", " ", `{}`, `{"contents":{"a":"b"},"tags":{"c":"d"},"time":1,"time_ns":2}`, `{"time":1.5}`, `{"a":[{"b":null}]}`,
		`{"@timestamp":"2023-11-14T22:13:20Z"}`, `{"\ud800":"\u0000"}`, `{`, `{} {}`, `[]`, `{"time":99999999999999999999999}`,
		`{"Logs":[{"Time":1,"Contents":[{"Key":"a","Value":"b"}],"Time_ns":5}],"Topic":"t","LogTags":[{"Key":"a","Value":"b"}]}`,
		"{\"a\":\"\xff\"}", `[{"Time":1},{"Contents":[]}]` + "\n" + `{"contents":{},"tags":{"host.ip":"1"}}`, `{"a":1e5,"b":-0.1E+2}`,
		`{"tags":{"log.topic":"x","a":"b"},"contents":{"n":12345678901234567890}}` + "\n" + `{"tags":{"log.topic":"x","a":"b"},"contents":{"s":"` + strings.Repeat("x", 300) + `"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for _, f := range jsonFormats {
			checkJSON(t, value, f)
		}
	})
}

// Random text hardly ever is JSON; this makes JSON of pieces that matter, and
// breaks it sometimes.
func TestJSONOfPiecesIsReadAsByEncodingJSON(t *testing.T) {
	t.Parallel()
	names := rapid.SampledFrom([]string{
		"contents", "tags", "time", "time_ns", "Time", "Contents", "Time_ns", "values", "Logs", "LogTags", "Category", "Topic", "Source",
		"MachineUUID", "Key", "Value", "__time__", "@timestamp", "host.ip", "log.topic", "a", "", "é", `\u0061`, `\u0074ime`, `\"`,
	})
	scalars := rapid.SampledFrom([]string{
		`"x"`, `""`, `"1700000000"`, `"2023-11-14T22:13:20.5Z"`, `"\ud83d\ude00\ud800"`, `"\n"`, "1", "0", "-1", "1700000000.25", "1700000000123",
		"4294967296", "1e3", "999999999", "null", "true", "[]", "{}", `[null]`, `"` + strings.Repeat("y", 200) + `"`,
	})
	rapid.Check(t, func(t *rapid.T) {
		var value func(depth int) string
		value = func(depth int) string {
			kind := rapid.IntRange(0, 5).Draw(t, "kind")
			space := rapid.SampledFrom([]string{"", "", " ", "\n"}).Draw(t, "space")
			switch {
			case depth == 0 || kind > 1 && depth < 3:
				return scalars.Draw(t, "scalar")
			case kind == 1 && depth < 4:
				var all []string
				for range rapid.IntRange(0, 3).Draw(t, "elements") {
					all = append(all, value(depth-1))
				}
				return "[" + space + strings.Join(all, ","+space) + "]"
			}
			var all []string
			for range rapid.IntRange(0, 4).Draw(t, "members") {
				all = append(all, `"`+names.Draw(t, "name")+`"`+space+":"+value(depth-1))
			}
			return "{" + strings.Join(all, space+",") + space + "}"
		}
		var text string
		for range rapid.IntRange(1, 3).Draw(t, "lines") {
			text += value(4) + rapid.SampledFrom([]string{"\n", "\n", " "}).Draw(t, "end")
		}
		if b := []byte(text); rapid.IntRange(0, 9).Draw(t, "break") == 0 {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] = rapid.SampledFrom([]byte("{}[]\":,\\ 1")).Draw(t, "with")
			text = string(b)
		}
		for _, f := range jsonFormats {
			checkJSON(t, []byte(text), f)
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
