package protocol_test

import (
	"encoding"
	"errors"
	"strings"
	"testing"

	"github.com/flushline/flushline/protocol"
)

var (
	_ encoding.TextUnmarshaler = (*protocol.Template)(nil)
	_ encoding.TextMarshaler   = protocol.Template{}
)

func templateVars() *protocol.TemplateVars {
	return &protocol.TemplateVars{
		Key:  protocol.Key{Project: "shop", Logstore: "cart", Config: "c1"},
		Host: "web-17",
		Time: 1700000000, // 2023-11-14 22:13:20 UTC
		Group: &protocol.LogGroup{LogTags: []*protocol.LogTag{
			{Key: "app", Value: "old"}, {Key: "app", Value: "api"}, nil, {Key: "a.b", Value: "dots"}, {Key: "empty"},
		}},
		Log: &protocol.Log{Contents: []*protocol.Log_Content{
			{Key: "level", Value: "WARN"}, nil, {Key: "__tag__:node", Value: "n1"}, {Key: "__tag__:app", Value: "not this"},
		}},
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "",
		"plain % $ text":                   "plain % $ text",
		"{project}/{logstore}/{config}":    "shop/cart/c1",
		"{host}-{date:2006-01-02}.pb.zst":  "web-17-2023-11-14.pb.zst",
		"{date:2006/01/02/15}":             "2023/11/14/22",
		"{date:20060102T150405Z07:00}":     "20231114T221320Z",
		"{date:January 2006}":              "November 2023",
		"logs-{content.level}-{tag.app}":   "logs-WARN-api",
		"logs-%{content.level}-%{tag.app}": "logs-WARN-api",
		"{tag.a.b}{tag.empty}{tag.node}":   "dotsn1",
		"{{{project}}} }}{{":               "{shop} }{",
		"100%{{x}}":                        "",
		`C:\logs\{project}`:                `C:\logs\shop`,
		"日本{project}":                      "日本shop",
	} {
		tmpl, err := protocol.CompileTemplate(text)
		if text == "100%{{x}}" {
			if err == nil {
				t.Errorf("%q compiles", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got, err := tmpl.Append([]byte("> "), templateVars())
		if err != nil || string(got) != "> "+want {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
		if back, _ := tmpl.MarshalText(); string(back) != text || tmpl.String() != text {
			t.Errorf("%q is written as %q", text, back)
		}
		if tmpl.IsZero() != (text == "") {
			t.Errorf("%q: IsZero is %v", text, tmpl.IsZero())
		}
	}
}

func TestTemplateErrorsSayWhatToWrite(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a/{date:yyyy-MM-dd}":    `template "a/{date:yyyy-MM-dd}", character 3: {date:yyyy-MM-dd} is not a Go layout: write {date:2006-01-02}`,
		"日/{date:%Y%m%d}":        `character 3: {date:%Y%m%d} is not a Go layout: write {date:20060102}`,
		"{date:yyyyMMddTHHmmss}": "write {date:20060102T150405}",
		"{date:2006-MM-dd}":      "write {date:2006-01-02}",
		"{date:2024-01-02}":      "{date:2024-01-02} has the year 2024",
		"{date:daily}":           "{date:daily} is the same at all times: write {date:2006-01-02}",
		"{date:}":                "{date:} has no layout: write {date:2006-01-02}",
		"{date}":                 "{date} is not known: write {date:2006-01-02}",
		"{time:HH}":              "{time:HH} is not known: write {date:15}",
		"{projekt}":              "{projekt} is not known: write {project}",
		"{porject}":              "{porject} is not known: write {project}",
		"{Logstore}":             "{Logstore} is not known: write {logstore}",
		"{hostname}":             "write {host}",
		"{tags.app}":             "write {tag.app}",
		"{fields.level}":         "write {content.level}",
		"{tag.}":                 "{tag.} names no tag: write {tag.NAME}",
		"{level}":                "or {content.level} for a content of that name",
		"{}":                     "{} is not known",
		"a {project":             `character 3: a { that is never closed: close it with }, or write {{ for a brace`,
		"{date:2006{tag.x}":      `character 1: a { that is never closed`,
		"a } b":                  `character 3: a } without {: write }} for a brace`,
		"a-%{+YYYY.MM.dd}":       `character 3: %{+YYYY.MM.dd} has "YYYY", which is no unit of time here: write %{+yyyy.MM.dd}`,
		"%{+yyyy.MM.DD}":         "write %{+yyyy.MM.dd}",
		"%{+HH:mm:ss.SSS}":       "%{+HH:mm:ss.SSS} asks for parts of a second, and a name is made of whole seconds: write %{+HH:mm:ss}",
		"%{+SSS}":                "write %{+yyyy.MM.dd}",
		"%{+yyyyMMddkk}":         "write %{+yyyyMMddHH}",
		"%{+%Y.%m}":              "write %{+yyyy.MM.dd}",
		"%{+2006.01.02}":         "%{+2006.01.02} is the same at all times: write %{+yyyy.MM.dd}",
		"%{+}":                   "is the same at all times",
		"%{+week ww}":            "write %{+",
		"%{+yyyy'week}":          "and 'text' in quotes",
		`\%{content.a}`:          `\ takes no meaning away here: write %{{ for the text %{`,
		"%{content.a:b}":         "%{content.a:b} has an operator, which is not supported: write {content.a}",
		"%{project}":             "only content.NAME, tag.NAME and +LAYOUT may stand in %{ }",
		"${env:HOME}":            "{env:HOME} is not known",
	} {
		tmpl, err := protocol.CompileTemplate(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
		if tmpl != nil {
			t.Errorf("%q: an error and a template", text)
		}
		kept := protocol.Template{}
		_ = kept.UnmarshalText([]byte("kept"))
		if err := kept.UnmarshalText([]byte(text)); err == nil || kept.String() != "kept" {
			t.Errorf("%q: UnmarshalText gives %v and %q", text, err, kept.String())
		}
	}
}

// The names that iLogtail's layouts give, of 1 February 2026 04:05:09 UTC, a Sunday
// in week 5, and of 29 November 2021 23:58:47 UTC, a Monday in week 48.
func TestLayoutsOfILogtail(t *testing.T) {
	t.Parallel()
	early, late := &protocol.TemplateVars{Time: 1769918709}, &protocol.TemplateVars{Time: 1638230327}
	for layout, want := range map[string][2]string{
		"yyyy.MM.dd":          {"2026.02.01", "2021.11.29"},
		"yyyyMMdd":            {"20260201", "20211129"},
		"yy-M-d":              {"26-2-1", "21-11-29"},
		"yyyy_d":              {"2026_1", "2021_29"},
		"yyyy.ww":             {"2026.5", "2021.48"},
		"MMMM EEEE":           {"February Sunday", "November Monday"},
		"MMM/EEE":             {"Feb/Sun", "Nov/Mon"},
		"HHmmss":              {"040509", "235847"},
		"KK:m:s aa":           {"04:5:9 AM", "11:58:47 PM"},
		"K":                   {"4", "11"},
		"hh h a":              {"04 4 AM", "11 11 PM"},
		"yyyy-MM-ddTHH":       {"2026-02-01T04", "2021-11-29T23"},
		"yyyy-01-15-dd":       {"2026-01-15-01", "2021-01-15-29"},
		"'Monday' yyyy 'o'''": {"Monday 2026 o'", "Monday 2021 o'"},
		"''yyyy":              {"'2026", "'2021"},
		"DDD":                 {"032", "333"},
		"yyyy Z X XX XXX":     {"2026 UTC +00 +0000 +00:00", "2021 UTC +00 +0000 +00:00"},
		"yyyy年MM月":            {"2026年02月", "2021年11月"},
	} {
		text := "logs-%{+" + layout + "}!"
		tmpl, err := protocol.CompileTemplate(text)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for i, vars := range []*protocol.TemplateVars{early, late} {
			if got, err := tmpl.Append(nil, vars); err != nil || string(got) != "logs-"+want[i]+"!" {
				t.Errorf("%s: got %s, %v, want logs-%s!", layout, got, err, want[i])
			}
		}
		if !tmpl.Uses("date") || tmpl.String() != text {
			t.Errorf("%s: Uses(date) is %v, the text %s", layout, tmpl.Uses("date"), tmpl.String())
		}
	}
}

func TestShapeFillsEverything(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a/{project}-{tag.x}/%{content.y}.{host}": "a/v-v/v.v", "{{{date:2006}}}-%{+ww}": "{2001}-5", "": "",
	} {
		if got := compile(t, text).Shape("v"); got != want {
			t.Errorf("%q has the shape %q, want %q", text, got, want)
		}
	}
}

func compile(t testing.TB, text string) *protocol.Template {
	t.Helper()
	tmpl, err := protocol.CompileTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func TestMissingFieldsAreErrors(t *testing.T) {
	t.Parallel()
	for text, field := range map[string]string{"x-{tag.none}": "tag.none", "x-%{content.none}": "content.none", "{tag.leve}": "tag.leve"} {
		got, err := compile(t, text).Append([]byte("kept"), templateVars())
		var m *protocol.MissingFieldError
		if !errors.As(err, &m) || m.Field != field || m.Template != text || string(got) != "kept" {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	vars := &protocol.TemplateVars{}
	for _, text := range []string{"{tag.app}", "{content.level}"} {
		if _, err := compile(t, text).Append(nil, vars); err == nil {
			t.Errorf("%q is filled from nothing", text)
		}
	}
}

func TestAppendSafeTouchesValuesOnly(t *testing.T) {
	t.Parallel()
	vars := templateVars()
	vars.Key.Project = "../etc"
	safe := func(dst []byte, value string) []byte { return append(dst, strings.ReplaceAll(value, "/", "_")...) }
	got, err := compile(t, "a/{project}/{date:2006/01}/{tag.app}").AppendSafe(nil, vars, safe)
	if err != nil || string(got) != "a/.._etc/2023/11/api" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	tmpl := compile(t, "project {date:2006} {tag.app} {host}")
	for name, want := range map[string]bool{
		"date": true, "tag.app": true, "tag": true, "host": true,
		"project": false, "content": false, "tag.other": false, "": false,
	} {
		if got := tmpl.Uses(name); got != want {
			t.Errorf("Uses(%q) is %v", name, got)
		}
	}
	var none *protocol.Template
	if none.Uses("date") || !none.IsZero() || none.String() != "" {
		t.Error("a nil template uses something")
	}
}

func TestTemplatesDoNotAllocate(t *testing.T) {
	tmpl := compile(t, "{project}/{date:2006-01-02}/{tag.app}-{content.level}-%{+yyyy.ww}")
	vars, dst := templateVars(), make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() { dst, _ = tmpl.Append(dst[:0], vars) }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
}

// FuzzTemplate: what compiles is filled without a panic, never shows a
// placeholder, and reads and writes as the same text.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"{project}", "%{content.level}", "{{}}", "{date:2006}", "{date:yyyy}", "%{+yyyy}", "{tag.x", "}", "{date:MMM}", "{date:%Y20240101}",
		"%{+yyyy.MM.dd}", "%{+'a'ww''}", "%{+YYYY_d}", "%{+HH:mm:ss.SSS}", `\%{tag.x}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := protocol.CompileTemplate(text)
		if err != nil {
			return
		}
		got, err := tmpl.Append(nil, templateVars())
		if err == nil && strings.Contains(string(got), "{") && !strings.Contains(text, "{{") {
			t.Fatalf("%q gives %q", text, got)
		}
		var again protocol.Template
		if err := again.UnmarshalText([]byte(tmpl.String())); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	tmpl := compile(b, "{project}/{logstore}/{date:2006-01-02}/{tag.app}-{content.level}")
	vars, dst := templateVars(), make([]byte, 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = tmpl.Append(dst[:0], vars)
	}
}

// Known leaves what differs from log to log to who asks.
func TestTemplateKnown(t *testing.T) {
	t.Parallel()
	tpl, err := protocol.CompileTemplate("{host}/{project}/{{x}}/{date:2006}/{tag.a}/%{content.b}/%{+ww}/{logstore}.{config}")
	if err != nil {
		t.Fatal(err)
	}
	safe := func(dst []byte, value string) []byte { return append(append(dst, '!'), value...) }
	v := &protocol.TemplateVars{Key: protocol.Key{Project: "p", Logstore: "l", Config: "c"}, Host: "h"}
	got := tpl.Known(v, safe, func(placeholder string) string { return "<" + placeholder + ">" })
	if want := "!h/!p/{x}/<{date:2006}>/<{tag.a}>/<{content.b}>/<{+ww}>/!l.!c"; got != want {
		t.Errorf("known is %s, want %s", got, want)
	}
	if got := new(protocol.Template).Known(v, safe, nil); got != "" {
		t.Errorf("an empty template is %q", got)
	}
}

func TestPeriodOfDates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{
		"": 0, "{project}-{tag.x}": 0, "{date:2006-01-02}": 86400, "{date:January}": 86400, "%{+yyyy.ww}": 86400, "%{+ww}": 86400,
		"{date:002}": 86400, "{date:15}": 3600, "{date:3PM}": 3600, "{date:PM}": 3600, "{date:2006}/{date:15:04}": 60, "{date:04}-{date:15}": 60,
		"{date:20060102T150405}": 1, "%{+mm:ss}": 1, "{date:5}": 1, "{date:Z07:00 2006}": 86400,
	} {
		if got := compile(t, text).Period(); got != want {
			t.Errorf("%q: the period is %d s, want %d", text, got, want)
		}
	}
}
