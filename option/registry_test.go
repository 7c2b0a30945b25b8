package option_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/option"
)

func TestFieldsDescribeAStruct(t *testing.T) {
	t.Parallel()
	type block struct {
		Pods int `option:"pods"`
	}
	type all struct {
		URL   string            `option:"url,required" alias:"RemoteURL,Url" help:"Where to." example:"https://x"`
		Wait  time.Duration     `option:"wait" min:"1s" max:"1h"`
		Size  option.Bytes      `option:"size"`
		Pass  option.Secret     `option:"pass"`
		Codec string            `option:"codec" enum:"none,gzip"`
		Names []string          `option:"names"`
		Heads map[string]string `option:"heads"`
		On    bool              `option:"on,hidden"`
		Block *block            `option:"block"`
		List  []consumer        `option:"list"`
		Raw   *option.Node      `option:"raw"`
		Else  int
	}
	got := option.Fields(&all{Wait: 90 * time.Second, Size: 3 << 20, Pass: option.NewSecret("x"), Codec: "none", Names: []string{"a", "b"}, Else: 1})
	text := &option.Field{Type: "text"}
	want := []option.Field{
		{Name: "url", Type: "text", Required: true, Aliases: []string{"RemoteURL", "Url"}, Help: "Where to.", Example: "https://x"},
		{Name: "wait", Type: "duration", Default: "1m30s", Min: "1s", Max: "1h"},
		{Name: "size", Type: "size", Default: "3MiB"},
		{Name: "pass", Type: "secret", Secret: true},
		{Name: "codec", Type: "text", Default: "none", Enum: []string{"none", "gzip"}},
		{Name: "names", Type: "list", Default: "[a, b]", Elem: text},
		{Name: "heads", Type: "map", Elem: text},
		{Name: "on", Type: "bool", Default: "false", Hidden: true},
		{Name: "block", Type: "block", Optional: true, Fields: []option.Field{{Name: "pods", Type: "int", Default: "0"}}},
		{Name: "list", Type: "list", Elem: &option.Field{Type: "block", Fields: []option.Field{
			{Name: "stream", Type: "text", Required: true, Example: "LOGS"}, {Name: "max_pods", Type: "int", Default: "10"},
		}}},
		{Name: "raw", Type: "any"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := option.Check(&all{}); err != nil {
		t.Error(err)
	}
}

func TestWrongTagsAreFound(t *testing.T) {
	t.Parallel()
	type deep struct {
		C chan int `option:"c"`
	}
	for want, v := range map[string]any{
		"is not exported": &struct {
			a int `option:"a"`
		}{a: 1},
		"name is missing": &struct {
			A int `option:",required"`
		}{},
		`flag "requird"`: &struct {
			A int `option:"a,requird"`
		}{},
		"type complex128": &struct {
			A complex128 `option:"a"`
		}{},
		"type []chan int": &struct {
			A []chan int `option:"a"`
		}{},
		"type []uint8": &struct {
			A []byte `option:"a"`
		}{},
		"type chan int": &struct {
			A []deep `option:"a"`
		}{},
		`"a_b" twice`: &struct {
			A int `option:"ab"`
			B int `option:"a_b"`
		}{},
		`limit "soon"`: &struct {
			A time.Duration `option:"a" min:"soon"`
		}{},
		"has no limits": &struct {
			A string `option:"a" min:"1"`
		}{},
		"pointer to a struct": 5,
	} {
		err := option.Check(v)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: got %v, want %s", v, err, want)
		}
		if want == "pointer to a struct" || want == "type chan int" {
			continue
		}
		if got := texts(option.Decode(&option.Node{Kind: option.Map}, v)); !strings.Contains(got, "defect of the program") {
			t.Errorf("decoding does not report %s: %q", want, got)
		}
	}
}

func TestSeveralStructsShareABlock(t *testing.T) {
	t.Parallel()
	type engine struct {
		Name string        `option:"name"`
		Wait time.Duration `option:"wait"`
	}
	type kind struct {
		URL string `option:"url,required"`
	}
	var e engine
	var k kind
	n := option.FromAny(m{"name": "n", "url": "u", "wait": "1s"})
	if ps := option.DecodeAt(n, option.Pos{}, "", &e, &k); ps != nil {
		t.Fatal(texts(ps))
	}
	if e != (engine{"n", time.Second}) || k.URL != "u" {
		t.Errorf("%+v %+v", e, k)
	}
	got := texts(option.DecodeAt(option.FromAny(m{"nane": "n"}), option.Pos{}, "x", &e, &k))
	if want := "unknown key \"nane\" in x; did you mean \"name\"?\nurl is missing in x"; got != want {
		t.Error(got)
	}
	type greedy struct {
		Name string `option:"Name"`
	}
	if got := texts(option.DecodeAt(n, option.Pos{}, "", &e, &k, &greedy{})); !strings.Contains(got, "twice") {
		t.Errorf("two structs with one key: %q", got)
	}
}

func TestErrorsOfValidateBecomeProblems(t *testing.T) {
	t.Parallel()
	pos := func(line int) option.Pos { return option.Pos{Line: line, Col: 1, Len: 1} }
	n := &option.Node{Kind: option.Map, Pairs: []option.Pair{
		{Key: "ackWait", Pos: pos(2), Value: &option.Node{Kind: option.String, Text: "2s", Pos: pos(3)}},
	}}
	var lines []int
	for _, p := range option.DecodeAt(n, pos(1), "source", &joined{}) {
		lines = append(lines, p.Pos.Line)
	}
	if diff := cmp.Diff([]int{1, 1, 3}, lines); diff != "" {
		t.Error(diff)
	}
}

type joined struct {
	Wait time.Duration `option:"ack_wait" alias:"AckWait"`
	URL  string        `option:"url"`
}

func (j *joined) Validate() error {
	return errors.Join(errors.New("url is missing"), errors.New("ack_wait is too short"), errors.New("Something else"))
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, " 5ms ": 5 * time.Millisecond,
	} {
		if got, err := option.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "-1d", "1d-1h", "5", "0x5", "1e9", "1.5", "1 s", "99999999d", "1dd", "five"} {
		if got, err := option.ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "d"))
		if got, err := option.ParseDuration(option.FormatDuration(d)); err != nil || got != d {
			t.Fatalf("%v is written %s and read %v, %v", d, option.FormatDuration(d), got, err)
		}
	})
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]option.Bytes{
		"0": 0, "5": 5, "16MiB": 16 << 20, "64 kB": 64000, "1.5KiB": 1536, "2gib": 2 << 30, "7B": 7,
	} {
		var b option.Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%s: %v %v", text, b, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "5 parsec", "99999999TiB", "1..5"} {
		var b option.Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %v", text, b)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := option.Bytes(rapid.Int64Range(0, 1<<50).Draw(t, "b"))
		var got option.Bytes
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Fatalf("%d is written %s and read %d, %v", int64(want), want, int64(got), err)
		}
	})
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	type hidden struct{ s option.Secret }
	s := option.NewSecret("hunter2")
	asJSON, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all = append(all, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, hidden{s}), fmt.Sprintf(verb, []option.Secret{s}))
	}
	text := strings.Join(append(all, string(asJSON)), "\n")
	if strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
		t.Error(text)
	}
	if s.Reveal() != "hunter2" || s.IsZero() || !option.NewSecret("").IsZero() || option.NewSecret("").String() != "" {
		t.Error("the value is lost")
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	names := []string{"addresses", "timeout", "max_body", "url", "compression"}
	for written, want := range map[string]string{
		"adresses": "addresses", "Time_Out": "timeout", "tiemout": "timeout", "maxbdy": "max_body", "ulr": "url", "compress": "compression",
		"zzz": "", "": "", "x": "", strings.Repeat("a", 500): "",
	} {
		if got := option.Suggest(written, names); got != want {
			t.Errorf("%s: got %q, want %q", written, got, want)
		}
	}
}
