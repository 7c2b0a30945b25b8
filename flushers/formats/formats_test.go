package formats_test

import (
	"os"
	"strings"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

func TestOptionTags(t *testing.T) {
	t.Parallel()
	o, j := formats.Defaults(), formats.DefaultJSON()
	for _, v := range []any{&o, &j} {
		if err := option.Check(v); err != nil {
			t.Error(err)
		}
	}
}

// fields makes contents or tags.
func fields(pairs ...string) (all []*protocol.Log_Content) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, &protocol.Log_Content{Key: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func group(topic string, times ...uint32) *protocol.LogGroup {
	g := &protocol.LogGroup{Topic: topic, LogTags: []*protocol.LogTag{{Key: "__hostname__", Value: "web-17"}}}
	for _, at := range times {
		g.Logs = append(g.Logs, &protocol.Log{Time: at, Contents: fields("content", "a", "content", "b")}, nil)
	}
	return g
}

func compile(t testing.TB, o formats.Options) *formats.Writer {
	t.Helper()
	w, err := o.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestGroupsInEachFormat(t *testing.T) {
	t.Parallel()
	one, two, empty := group("t", 1), group("", 2, 3), group("t")
	list := protocol.LogGroupList{LogGroupList: []*protocol.LogGroup{empty, one, two}}
	const line1, line2, line3 = `{"content":"b","time":1}`, `{"content":"b","time":2}`, `{"content":"b","time":3}`
	for format, want := range map[string]struct{ one, empty, all, of, ofAll string }{
		formats.JSONL:     {line1 + "\n", "", line1 + "\n" + line2 + "\n" + line3 + "\n", "application/x-ndjson", "application/x-ndjson"},
		formats.JSONArray: {"[" + line1 + "]", "", "[" + line1 + "," + line2 + "," + line3 + "]", "application/json", "application/json"},
		formats.LogGroup: {
			string(one.AppendMarshal(nil)), string(empty.AppendMarshal(nil)), string(list.AppendMarshal(nil)),
			protocol.TypeLogGroup, protocol.TypeLogGroupList,
		},
	} {
		o := formats.Defaults()
		o.Format, o.Shape, o.OnlyContents = format, formats.Flatten, true
		w := compile(t, o)
		if got := string(w.AppendGroup([]byte("> "), one)); got != "> "+want.one {
			t.Errorf("%s: a group is %q, want %q", format, got, want.one)
		}
		if got := string(w.AppendGroup([]byte("> "), empty)); got != "> "+want.empty {
			t.Errorf("%s: a group without logs is %q, want %q", format, got, want.empty)
		}
		if got := string(w.AppendGroups([]byte("> "), []*protocol.LogGroup{empty, one, two})); got != "> "+want.all {
			t.Errorf("%s: three groups are %q, want %q", format, got, want.all)
		}
		if got := w.AppendGroups(nil, []*protocol.LogGroup{empty}); format != formats.LogGroup && len(got) > 0 {
			t.Errorf("%s: no logs are %q", format, got)
		}
		if w.ContentType() != want.of || w.BatchContentType() != want.ofAll || w.PerLog() || w.Raw() != (format == formats.LogGroup) {
			t.Errorf("%s: %s and %s, PerLog %v, Raw %v", format, w.ContentType(), w.BatchContentType(), w.PerLog(), w.Raw())
		}
	}
	raw := [][]byte{empty.AppendMarshal(nil), one.AppendMarshal(nil), two.AppendMarshal(nil)}
	if got := string(formats.AppendGroupList([]byte("> "), raw)); got != "> "+string(list.AppendMarshal(nil)) {
		t.Errorf("the list of bytes is %q", got)
	}
}

func TestLogsInEachFormat(t *testing.T) {
	t.Parallel()
	g := group("", 7)
	for format, want := range map[string][2]string{
		formats.OneJSON: {`{"contents":{"content":"a","content":"b"},"tags":{"__hostname__":"web-17"},"time":7}`, "application/json"},
		formats.Raw:     {"b", "text/plain"},
	} {
		o := formats.Defaults()
		o.Format = format
		w := compile(t, o)
		got, err := w.AppendLog([]byte("> "), g, g.Logs[0])
		if err != nil || string(got) != "> "+want[0] || w.ContentType() != want[1] || !w.PerLog() || w.Raw() {
			t.Errorf("%s: %q, %v, %s, PerLog %v, Raw %v", format, got, err, w.ContentType(), w.PerLog(), w.Raw())
		}
	}
	o := formats.Defaults()
	o.Format = formats.Raw
	got, err := compile(t, o).AppendLog([]byte("> "), g, &protocol.Log{Contents: append(fields("msg", "lost?"), nil)})
	if class, _ := flushers.Classify(err); class != flushers.ClassPermanent || string(got) != "> " {
		t.Errorf("a log without content is %q, %v", got, err)
	}
}

// decode fills the options of a kind from what stands in a file.
func decode(t *testing.T, text ...option.Pair) (formats.Options, []option.Problem) {
	t.Helper()
	o := formats.Defaults()
	problems := option.Decode(&option.Node{Kind: option.Map, Pairs: text}, &o)
	if !option.Failed(problems) {
		problems = append(problems, o.Problems(formats.JSONL, formats.LogGroup)...)
	}
	return o, problems
}

func text(key, value string) option.Pair {
	kind := option.String
	if value == "true" {
		kind = option.Bool
	}
	return option.Pair{Key: key, Value: &option.Node{Kind: kind, Text: value}}
}

func block(key string, pairs ...option.Pair) option.Pair {
	return option.Pair{Key: key, Value: &option.Node{Kind: option.Map, Pairs: pairs}}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	flatten := text("shape", formats.Flatten)
	for _, c := range []struct {
		want  string // "" none, beginning with ! a warning
		pairs []option.Pair
	}{
		{"", nil},
		{"", []option.Pair{text("format", "loggroup")}},
		{"format: raw is not for this kind: use jsonl, loggroup", []option.Pair{text("format", "raw")}},
		{`"topic" is none of the members: they are contents, tags, time, time_ns`, []option.Pair{block("field_names", text("topic", "t"))}},
		{"contents cannot be left out", []option.Pair{block("field_names", text("contents", ""))}},
		{"", []option.Pair{block("field_names", text("tags", ""), text("time", ""), text("time_ns", ""))}},
		{`tags and time would both be called "time"`, []option.Pair{block("field_names", text("tags", "time"))}},
		{`time and time_ns would both be called "time_ns"`, []option.Pair{flatten, block("field_names", text("time", "time_ns"))}},
		{"", []option.Pair{flatten, text("time_format", "millis"), block("field_names", text("time", "time_ns"))}},
		{"!tags has no effect with shape custom_single_flatten", []option.Pair{flatten, block("field_names", text("tags", "t"))}},
		{"!time_ns has no effect with time_format nanos", []option.Pair{text("time_format", "nanos"), block("field_names", text("time_ns", "t"))}},
		{"", []option.Pair{block("tag_names", text("__path__", "time"))}},
		{`the tag __path__ would be called "time", which is the name of time`, []option.Pair{flatten, block("tag_names", text("__path__", "time"))}},
		{"", []option.Pair{block("Convert", text("Protocol", "custom_single"), text("Encoding", "json"), text("IgnoreUnExpectedData", "true"))}},
		{"convert.protocol: \"otlp_v1\" cannot be written: use custom_single or custom_single_flatten", []option.Pair{block("Convert", text("Protocol", "otlp_v1"))}},
		{"write format: raw and remove Convert", []option.Pair{block("Convert", text("Protocol", "raw"))}},
		{"convert.encoding: \"protobuf\" cannot be written", []option.Pair{block("Convert", text("Encoding", "protobuf"))}},
		{"it belongs to the protocol raw", []option.Pair{block("Convert", text("Separator", "|"))}},
		{"contradicts shape custom_single_flatten", []option.Pair{flatten, block("Convert", text("Protocol", "custom_single"))}},
		{"tag_names says it, too", []option.Pair{block("tag_names", text("a", "b")), block("Convert", block("TagFieldsRename", text("a", "b")))}},
		{"field_names says it, too", []option.Pair{block("field_names", text("time", "b")), block("Convert", block("ProtocolFieldsRename", text("time", "b")))}},
		{`"topic" is none of the members`, []option.Pair{block("Convert", block("ProtocolFieldsRename", text("topic", "b")))}},
		{"unknown key", []option.Pair{block("Convert", text("Protokol", "custom_single"))}},
	} {
		_, problems := decode(t, c.pairs...)
		if c.want == "" {
			if len(problems) > 0 {
				t.Errorf("%v: %+v", c.pairs, problems)
			}
			continue
		}
		want, warning := strings.CutPrefix(c.want, "!")
		if len(problems) != 1 || !strings.Contains(problems[0].Path+": "+problems[0].Text(), want) || problems[0].Warning != warning {
			t.Errorf("%v: got %+v, want %q", c.pairs, problems, c.want)
		}
	}
}

// A block of iLogtail writes what it wrote there, with the names of tags that it
// gives new ones.
func TestConvertIsTranslated(t *testing.T) {
	t.Parallel()
	o, problems := decode(t, block("Convert", text("Protocol", "jsonline"), text("Encoding", "json"),
		block("TagFieldsRename", text("host.name", "host"), text("log.topic", "")), block("ProtocolFieldsRename", text("time", "@timestamp"))))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := string(compile(t, o).AppendGroup(nil, group("t", 7)))
	if want := `{"content":"b","host":"web-17","@timestamp":7}` + "\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	o, _ = decode(t, block("Convert", text("OnlyContents", "true"), block("TagFieldsRename", text("host.name", "host"))))
	got = string(compile(t, o).AppendGroup(nil, group("t", 7)))
	if want := `{"contents":{"content":"a","content":"b"},"time":7}` + "\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	broken := formats.Defaults()
	broken.FieldNames = map[string]string{"contents": ""}
	if w, err := broken.Compile(); err == nil || w != nil {
		t.Errorf("what has problems is compiled: %v", w)
	}
}
