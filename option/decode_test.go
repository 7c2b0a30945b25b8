package option_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/option"
)

type tls struct {
	CA   string        `option:"ca"`
	Cert string        `option:"cert"`
	Key  option.Secret `option:"key"`
}

type level string

func (l *level) UnmarshalText(text []byte) error {
	*l = level("<" + string(text) + ">")
	return nil
}

type inner struct {
	Deep int `option:"deep"`
}

type consumer struct {
	Stream string `option:"stream,required" example:"LOGS"`
	Pods   int    `option:"max_pods"`
}

func (c *consumer) Defaults() { c.Pods = 10 }

type sample struct {
	inner
	URL       string            `option:"url,required" alias:"RemoteURL" example:"https://logs.example/in"`
	Timeout   time.Duration     `option:"timeout" min:"1ms" max:"1h"`
	Body      option.Bytes      `option:"max_body" min:"1KiB" max:"1GiB"`
	Password  option.Secret     `option:"password"`
	Codec     string            `option:"codec" enum:"none,gzip,zstd"`
	Count     int               `option:"count" min:"1" max:"64"`
	Small     uint8             `option:"small"`
	Ratio     float64           `option:"ratio"`
	Verify    bool              `option:"verify"`
	Level     level             `option:"level"`
	Subjects  []string          `option:"subjects"`
	Headers   map[string]string `option:"headers"`
	Waits     []time.Duration   `option:"waits"`
	TLS       *tls              `option:"tls"`
	Nested    tls               `option:"nested"`
	Consumers []consumer        `option:"consumers"`
	Limit     *int              `option:"limit"`
	Raw       *option.Node      `option:"raw"`
	Ghost     bool              `option:"ghost,hidden"`
	state     int
}

func (s *sample) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "QueueCapacity", Why: "nothing is queued here"},
		{Name: "DropEventWhenQueueFull", Why: "flushline never drops", Refuse: true},
		{Name: "Protocol", Why: "use codec", Refuse: true, Same: []string{"json", ""}},
		{Name: "Auth", Why: "use password", Refuse: true, Secret: true, Same: []string{""}},
		{Name: "Convert", Why: "below it stands Deep", Refuse: true, Keys: []option.ForeignKey{
			{Name: "Deep", Why: "nothing is deep here", Same: []string{"1"}},
			{Name: "Deeper", Keys: []option.ForeignKey{{Name: "Still", Why: "no", Refuse: true}}},
		}},
	}
}

func (s *sample) Validate() []option.Problem {
	var ps []option.Problem
	if s.TLS != nil && (s.TLS.Cert == "") != s.TLS.Key.IsZero() {
		ps = append(ps, option.Errorf("tls.cert", "cert and key go together"))
	}
	if s.Count > 32 {
		ps = append(ps, option.Warnf("count", "count above 32 seldom helps"))
	}
	return ps
}

func defaults() *sample {
	return &sample{Timeout: 20 * time.Second, Body: 1 << 20, Codec: "none", Count: 4, Verify: true, Subjects: []string{"logs.>"}, state: 7}
}

type m = map[string]any

func TestDecodeFillsEveryType(t *testing.T) {
	t.Parallel()
	raw := &option.Node{Kind: option.List}
	got := defaults()
	problems := option.Decode(option.FromAny(m{
		"URL": "u", "time_out": "1m", "MaxBody": "64KiB", "password": "p", "codec": "GZIP", "count": 8, "small": 255,
		"ratio": 0.5, "verify": false, "level": "x", "subjects": []string{"a", "b"}, "headers": m{"X-A": "1", "n": 2},
		"waits": []string{"1s", "2d"}, "tls": m{"ca": "f"}, "nested": m{"ca": "g"},
		"consumers": []any{m{"stream": "S"}, m{"stream": "T", "max_pods": 3}}, "limit": 0, "raw": raw, "deep": 3,
	}), got)
	if problems != nil {
		t.Fatalf("problems: %+v", problems)
	}
	zero := 0
	want := &sample{
		inner: inner{3}, URL: "u", Timeout: time.Minute, Body: 64 << 10, Password: option.NewSecret("p"), Codec: "gzip",
		Count: 8, Small: 255, Ratio: 0.5, Level: "<x>", Subjects: []string{"a", "b"},
		Headers: map[string]string{"X-A": "1", "n": "2"}, Waits: []time.Duration{time.Second, 48 * time.Hour},
		TLS: &tls{CA: "f"}, Nested: tls{CA: "g"}, Consumers: []consumer{{"S", 10}, {"T", 3}}, Limit: &zero, Raw: raw, state: 7,
	}
	reveal := cmp.Transformer("reveal", func(s option.Secret) string { return s.Reveal() })
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{}, inner{}), reveal); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeKeepsDefaultsOfWhatIsNotGiven(t *testing.T) {
	t.Parallel()
	got := defaults()
	if ps := option.Decode(option.FromAny(m{"RemoteURL": "u"}), got); ps != nil {
		t.Fatal(ps)
	}
	want := defaults()
	want.URL = "u"
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(sample{}, inner{}, option.Secret{})); diff != "" {
		t.Error(diff)
	}
	if got.TLS != nil {
		t.Error("a block that was not given is there")
	}
}

func TestDecodeProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   any
		want string
	}{
		{"unknown", m{"url": "u", "tiemout": "1s"}, `unknown key "tiemout"; did you mean "timeout"?`},
		{"unknown prefix", m{"url": "u", "sub": "1s"}, `unknown key "sub"; did you mean "subjects"?`},
		{"unknown and nothing near", m{"url": "u", "zzzzzzz": "1s"}, `unknown key "zzzzzzz"`},
		{"hidden is never proposed", m{"url": "u", "ghos": 1}, `unknown key "ghos"`},
		{"unknown within", m{"url": "u", "tls": m{"c": 1}}, `unknown key "c" in tls; did you mean "ca"?`},
		{"missing", m{}, `url is missing; for example url: https://logs.example/in`},
		{"missing within", m{"url": "u", "consumers": []any{m{}}}, `stream is missing in consumers[0]; for example stream: LOGS`},
		{"empty", m{"url": nil}, `url has no value; write one, or remove the line`},
		{"text for number", m{"url": "u", "count": "many"}, `count wants a whole number, found the text "many"`},
		{"quoted number", m{"url": "u", "count": "8"}, `count wants a whole number, found the text "8"; remove the quotes`},
		{"fraction", m{"url": "u", "count": 1.5}, `count: 1.5 is not a whole number`},
		{"too small", m{"url": "u", "count": 0}, `count: 0 is out of range: want at least 1`},
		{"too large", m{"url": "u", "count": 65}, `count: 65 is out of range: want at most 64`},
		{"overflow", m{"url": "u", "small": 256}, `small: 256 is out of range`},
		{"negative", m{"url": "u", "small": -1}, `small: -1 is out of range`},
		{"bool", m{"url": "u", "verify": "yes"}, `verify wants true or false, found the text "yes"`},
		{"quoted bool", m{"url": "u", "verify": "true"}, `verify wants true or false, found the text "true"; remove the quotes`},
		{"bool for text", m{"url": true}, `url wants text, found true; write "true"`},
		{"list for text", m{"url": []string{"a"}}, `url wants text, found a list`},
		{"text for list", m{"url": "u", "subjects": "logs.>"}, `subjects wants a list, found the text "logs.>"; write [logs.>]`},
		{"text for block", m{"url": "u", "tls": "on"}, `tls wants a block of keys, found the text "on"`},
		{"text for map", m{"url": "u", "headers": "a"}, `headers wants a block of names and values, found the text "a"`},
		{"map for list", m{"url": "u", "consumers": m{"stream": "S"}}, `consumers wants a list, found a block of keys; begin each with a dash`},
		{"nanoseconds", m{"url": "u", "timeout": 1000000000}, `timeout: 1000000000 has no unit; 1000000000 was nanoseconds: write 1s`},
		{"seconds", m{"url": "u", "timeout": 60}, `timeout: 60 has no unit; write 60s`},
		{"milliseconds", m{"url": "u", "timeout": 5000}, `timeout: 5000 has no unit; write 5000ms or 5000s`},
		{"quoted seconds", m{"url": "u", "timeout": "60"}, `timeout: 60 has no unit; write 60s`},
		{"no duration", m{"url": "u", "timeout": "soon"}, `timeout: "soon" is not a duration: write 500ms, 30s, 10m, 1h30m or 7d`},
		{"negative duration", m{"url": "u", "timeout": "-1s"}, `timeout: -1s is below zero`},
		{"duration too long", m{"url": "u", "timeout": "2h"}, `timeout: 2h is out of range: want at most 1h`},
		{"in a list", m{"url": "u", "waits": []any{"1s", 5}}, `waits[1]: 5 has no unit; write 5s`},
		{"size", m{"url": "u", "max_body": "1 parsec"}, `max_body: "1 parsec" has an unknown unit " parsec": use B, KiB, MiB, GiB, kB, MB or GB`},
		{"size too small", m{"url": "u", "max_body": 12}, `max_body: 12 is out of range: want at least 1KiB`},
		{"enum", m{"url": "u", "codec": "gzi"}, `codec: "gzi" is none of its values: did you mean "gzip"? want none, gzip or zstd`},
		{"twice", m{"url": "u", "URL": "v"}, `url stands twice, first as "URL"`},
		{"alias twice", m{"url": "u", "RemoteURL": "v"}, `url stands twice, first as "RemoteURL"`},
		{"foreign", m{"url": "u", "queue_capacity": 5}, `warning: "queue_capacity" has no meaning here; nothing is queued here`},
		{"foreign refused", m{"url": "u", "DropEventWhenQueueFull": true}, `"DropEventWhenQueueFull" cannot be honoured; flushline never drops`},
		{"foreign and the same", m{"url": "u", "protocol": "JSON"}, ""},
		{"foreign and empty", m{"url": "u", "protocol": "", "drop_event_when_queue_full": []any{}, "Convert": m{}, "auth": nil}, ""},
		{"foreign and another value", m{"url": "u", "protocol": "raw"}, `"protocol" cannot be the text "raw"; use codec`},
		{"foreign and of another type", m{"url": "u", "protocol": []any{1}}, `"protocol" cannot be a list; use codec`},
		{"foreign block", m{"url": "u", "convert": m{"Deep": 1, "deeper": m{}}}, ""},
		{"foreign below a block", m{"url": "u", "convert": m{"Deep": 2, "deeper": m{"still": 1}}}, `warning: "Deep" has no meaning here; nothing is deep here` + "\n" + `"still" cannot be honoured; no`},
		{"foreign block that is none", m{"url": "u", "convert": 7}, `"convert" cannot be honoured; below it stands Deep`},
		{"unknown below a foreign block", m{"url": "u", "convert": m{"deeep": 1}}, `unknown key "deeep" in convert; did you mean "Deep"?`},
		{"foreign secret", m{"url": "u", "auth": "hunter2"}, `"auth" cannot be another type of value; use password`},
		{"hook", m{"url": "u", "tls": m{"cert": "c"}}, `cert and key go together`},
		{"hook warns", m{"url": "u", "count": 33}, `warning: count above 32 seldom helps`},
		{"hook is not asked after an error", m{"url": "u", "count": 33, "ratio": "x"}, `ratio wants a number, found the text "x"`},
		{"secret", m{"url": "u", "password": []string{"hunter2"}}, `password wants text, found a list`},
		{"secret bool", m{"url": "u", "password": true}, `password wants text, found another type of value`},
		{"all at once", m{"count": "x", "codec": "y"}, "codec: \"y\" is none of its values: want none, gzip or zstd\n" +
			"count wants a whole number, found the text \"x\"\nurl is missing; for example url: https://logs.example/in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, texts(option.Decode(option.FromAny(c.in), defaults()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestForeignKeysAreListedWithTheirPaths(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range option.ForeignKeys(defaults()) {
		got = append(got, f.Name)
	}
	want := []string{"QueueCapacity", "DropEventWhenQueueFull", "Protocol", "Auth", "Convert.Deep", "Convert.Deeper.Still"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	secrets := option.Secrets(option.FromAny(m{"url": "u", "auth": "hunter2", "protocol": "raw"}), defaults())
	if len(secrets) != 1 || secrets[0].Text != "hunter2" {
		t.Errorf("the secrets are %+v", secrets)
	}
}

func TestAnEmptyTextIsNone(t *testing.T) {
	t.Parallel()
	got := defaults()
	got.Codec = "gzip"
	if problems := option.Decode(option.FromAny(m{"url": "u", "codec": ""}), got); problems != nil || got.Codec != "none" {
		t.Errorf("codec %q, %s", got.Codec, texts(problems))
	}
}

func texts(problems []option.Problem) string {
	var lines []string
	for _, p := range problems {
		line := p.Text()
		if p.Warning {
			line = "warning: " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestSubstitutedValuesFitEveryTypeAndAreNotShown(t *testing.T) {
	t.Parallel()
	sub := func(text string) *option.Node {
		return &option.Node{Kind: option.String, Text: text, Written: "${env:X}"}
	}
	got := defaults()
	ps := option.Decode(option.FromAny(m{"url": sub("u"), "count": sub("9"), "verify": sub("false"), "max_body": sub("2048"), "ratio": sub("1")}), got)
	if ps != nil || got.Count != 9 || got.Verify || got.Body != 2048 {
		t.Fatalf("%v %+v", ps, got)
	}
	for _, key := range []string{"count", "verify", "max_body", "ratio", "timeout", "codec", "subjects", "tls", "headers", "small"} {
		text := texts(option.Decode(option.FromAny(m{"url": "u", key: sub("hunter2")}), defaults()))
		if text == "" || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %q", key, text)
		}
	}
}

func TestProblemsHavePositions(t *testing.T) {
	t.Parallel()
	at := func(line, col, n int) option.Pos { return option.Pos{Line: line, Col: col, Len: n} }
	scalar := func(text string, pos option.Pos) *option.Node {
		return &option.Node{Kind: option.String, Text: text, Pos: pos}
	}
	n := &option.Node{Kind: option.Map, Pos: at(2, 3, 1), Pairs: []option.Pair{
		{Key: "nested", Pos: at(2, 3, 6), Value: &option.Node{Kind: option.Map, Pos: at(3, 5, 2), Pairs: []option.Pair{
			{Key: "cc", Pos: at(3, 5, 2), Value: scalar("x", at(3, 9, 1))},
		}}},
		{Key: "count", Pos: at(4, 3, 5), Value: scalar("x", at(4, 10, 1))},
		{Key: "consumers", Pos: at(5, 3, 9), Value: &option.Node{Kind: option.List, Pos: at(6, 5, 1), Items: []*option.Node{
			{Kind: option.Map, Pos: at(6, 7, 4), Pairs: []option.Pair{{Key: "max_pods", Pos: at(6, 7, 8), Value: &option.Node{Kind: option.Int, Text: "1", Pos: at(6, 17, 1)}}}},
		}}},
	}}
	var got []option.Pos
	var paths []string
	for _, p := range option.DecodeAt(n, at(1, 1, 6), "source", defaults()) {
		got, paths = append(got, p.Pos), append(paths, p.Path)
	}
	want := []option.Pos{at(1, 1, 6), at(3, 5, 2), at(4, 10, 1), at(6, 7, 4)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"source.url", "source.nested.cc", "source.count", "source.consumers[0].stream"}, paths); diff != "" {
		t.Error(diff)
	}
}
