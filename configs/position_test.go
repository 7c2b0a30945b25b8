package configs

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/flushline/flushline/option"
)

// awkward are files whose tokens parsers tend to misplace.
var awkward = map[string]string{
	"plain.yaml":    "a: 1\nb:\n  c: two words\n  d: three # comment\n",
	"quotes.yaml":   "a: \"x y\"\n'b': 'q''r'\n\"c\": \"d\\te\"\nlast: ok\n",
	"unicode.yaml":  "é: ü\n日志: 窗口 # 注释\nz: {é: 日, k: [ü, ö]}\n",
	"flow.yaml":     "a: {b: c, d: [e, \"f\", {g: h}]}\ni: [j,k]\n",
	"lists.yaml":    "l:\n  - type: x\n    name: \"a b\"\n  -\n    z: y\n  - plain\n",
	"urls.yaml":     "a: nats://127.0.0.1:4222\nb: {c: nats://h:1, d: \"x\"}\n",
	"same.yaml":     "a: a\nb: {a: a, aa: a}\n",
	"repeated.yaml": "x: {xx: xxx, xxx: xx, xxxx: x}\n",
	"crlf.yaml":     "a: 1\r\nb: \"x\"\r\nc:\r\n  - d\r\n  - e: f\r\n",
	"numbers.yaml":  "a: 0x10\nb: 1_000\nc: 010\nd: .inf\ne: 1e3\nf: -5\ng: 2.50\n",
	"blank.yaml":    "\n\n# head\na: 1\n\n\nb:\n\n  c: 2\n",
	"bools.yaml":    "a: true\nb: False\nc: ~\nd: null\n",
	"anchors.yaml":  "a: &x {b: one}\nd: &y two\n",
	"tabs.json":     "{\n\t\"a\": {\"b\": [1, true, null, \"x\"]},\n\t\"cé\": -1.5e3,  \"d\" : \"y\"\n}\n",
	"oneline.json":  `{"a":{"b":"c"},"d":[{"e":1},{"e":2}]}`,
}

// TestPositionsAreExact looks at each position that was reported and finds there
// what was read.
func TestPositionsAreExact(t *testing.T) {
	t.Parallel()
	for name, src := range awkward {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := strings.ReplaceAll(src, "\r\n", "\n")
			parse := parseYAML
			if strings.HasSuffix(name, ".json") {
				parse = parseJSON
			}
			root, problems := parse(src)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			p := prober{t: t, lines: strings.Split(src, "\n")}
			p.node(root)
			if p.seen < 3 {
				t.Errorf("only %d positions were looked at", p.seen)
			}
		})
	}
}

type prober struct {
	t     *testing.T
	lines []string
	seen  int
}

func (p *prober) node(n *option.Node) {
	for _, item := range n.Items {
		p.node(item)
	}
	for _, pair := range n.Pairs {
		p.at(pair.Pos, pair.Key)
		p.node(pair.Value)
	}
	switch n.Kind {
	case option.Bool, option.Int, option.Float, option.String:
		p.at(n.Pos, n.Text)
	}
}

func (p *prober) at(pos option.Pos, want string) {
	p.seen++
	line := []rune(p.lines[pos.Line-1])
	if pos.Col-1+pos.Len > len(line) {
		p.t.Errorf("%q: %v is behind the end of line %q", want, pos, string(line))
		return
	}
	got := string(line[pos.Col-1 : pos.Col-1+pos.Len])
	var unquoted string
	switch {
	case strings.HasPrefix(got, "'"):
		unquoted = strings.ReplaceAll(strings.Trim(got, "'"), "''", "'")
	case strings.HasPrefix(got, `"`):
		if err := json.Unmarshal([]byte(got), &unquoted); err != nil {
			p.t.Errorf("%s: %v", got, err)
		}
	default:
		unquoted = got
	}
	if unquoted != want {
		p.t.Errorf("%v holds %s, want %s", pos, got, want)
	}
	if before := pos.Col - 2; before >= 0 && !slices.Contains([]rune(" \t,{[:\"'-"), line[before]) {
		p.t.Errorf("%v: %s begins within a word of %s", pos, got, string(line))
	}
}

func TestScalarsOverSeveralLinesEndWhereTheyEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		src        string
		line, last int
		text       string
	}{
		{"a: |\n  b\n  c\nd: e\n", 1, 3, "b\nc\n"},
		{"a: >-\n  b\n  c\n\nd: e\n", 1, 4, "b c"},
		{"a: \"b\n  c\"\nd: e\n", 1, 2, "b c"},
		{"a: b\n  c\nd: e\n", 1, 2, "b c"},
		{"x: y\na: |\n  b", 2, 3, "b"},
	} {
		root, problems := parseYAML(c.src)
		if problems != nil {
			t.Errorf("%q: %v", c.src, problems)
			continue
		}
		n := root.Get("a").Value
		if n.Pos.Line != c.line || n.LastLine != c.last || n.Text != c.text {
			t.Errorf("%q: line %d to %d, %q; want %d to %d, %q", c.src, n.Pos.Line, n.LastLine, n.Text, c.line, c.last, c.text)
		}
	}
}

func TestAliasesAndMergesAreFollowedWithinBounds(t *testing.T) {
	t.Parallel()
	root, problems := parseYAML("base: &b {x: 1, y: 2}\none: *b\ntwo:\n  <<: *b\n  y: 3\nmany:\n  <<: [*b, {z: 4}]\n")
	if problems != nil {
		t.Fatal(problems)
	}
	for path, want := range map[string]string{"one.y": "2", "two.x": "1", "two.y": "3", "many.x": "1", "many.z": "4"} {
		block, key, _ := strings.Cut(path, ".")
		if got := root.Get(block).Value.Get(key); got == nil || got.Value.Text != want {
			t.Errorf("%s: got %+v, want %s", path, got, want)
		}
	}
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		n, p := string(rune('1'+i)), string(rune('0'+i))
		bomb += "a" + n + ": &a" + n + " [" + strings.TrimSuffix(strings.Repeat("*a"+p+", ", 10), ", ") + "]\n"
	}
	if _, problems := parseYAML(bomb); len(problems) != 1 || !strings.Contains(problems[0].Message, "repeated too often") {
		t.Errorf("a bomb of aliases: %v", problems)
	}
}

// TestFilesThatAreNoConfigurationEndSoon holds what once took the parser minutes,
// or all memory.
func TestFilesThatAreNoConfigurationEndSoon(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"brackets": strings.Repeat("[", 300_000), "maps": strings.Repeat("{a: ", 100_000), "dashes": strings.Repeat("- ", 200_000),
		"keys": strings.Repeat("a: 1\n", 100_000), "wide": "a: [" + strings.Repeat("x,", 200_000) + "]",
	} {
		for syntax, parse := range map[string]func(string) (*option.Node, []option.Problem){"YAML": parseYAML, "JSON": parseJSON} {
			if root, problems := parse(src); len(problems) != 1 || root != nil {
				t.Errorf("%s as %s: %d problems", name, syntax, len(problems))
			}
		}
	}
}
