package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/flushline/flushline/option"
)

// view shows lines of a file without its secrets.
type view struct {
	lines  [][]rune
	hidden map[int][]span // by line, from 1
	loose  map[int]bool   // lines within a scalar: perhaps keys in the wrong place
	syntax bool           // the file could not be read: only its text tells what is secret
}

type span struct{ from, to int } // columns from 0

var (
	// userInfo is the user and password in a URL.
	userInfo = regexp.MustCompile(`://[^\s/@"'\[\]{}]+@`)
	// secretKey are names under which people keep what nobody else may see, known
	// to us or not.
	secretKey = regexp.MustCompile(`(?i)pass|pwd|secret|token|credential|creds|api_?key|private_?key|authori[sz]ation|cookie|nkey|seed|signature`)
	// secretLine is such a key with a value behind it.
	secretLine = regexp.MustCompile(`(?i)(?:` + secretKey.String() + `)[^:=]*[:=](.*)$`)
	// quotedSecret is the same within a quoted value: a missing quote makes a value
	// of all that follows.
	quotedSecret = regexp.MustCompile(`(?i)("[^"]*(?:` + secretKey.String() + `)[^":=]*[:=])[^"]*`)
)

func newView(src string) *view {
	v := &view{hidden: map[int][]span{}, loose: map[int]bool{}, syntax: true}
	for line := range strings.SplitSeq(src, "\n") {
		v.lines = append(v.lines, []rune(line))
	}
	return v
}

// hide keeps the values of known secrets, and of keys that sound like one, from
// being shown.
func (v *view) hide(root *option.Node, secrets []*option.Node) {
	v.syntax = false
	for _, n := range secrets {
		v.hideAll(n)
	}
	v.hideNamed(root)
}

func (v *view) hideNamed(n *option.Node) {
	if n.Kind == option.Broken { // what is below it was not read: it is shown like a file that cannot be parsed
		v.syntax = true
	}
	for l := n.Pos.Line; l <= n.LastLine; l++ {
		v.loose[l] = true
	}
	for _, item := range n.Items {
		v.hideNamed(item)
	}
	for i := range n.Pairs {
		p := &n.Pairs[i]
		if secretKey.MatchString(p.Key) {
			v.hideAll(p.Value)
			continue
		}
		v.hideNamed(p.Value)
	}
}

// hideAll hides every scalar below n.
func (v *view) hideAll(n *option.Node) {
	for _, item := range n.Items {
		v.hideAll(item)
	}
	for i := range n.Pairs {
		v.hideAll(n.Pairs[i].Value)
	}
	if n.Kind == option.List || n.Kind == option.Map || n.Kind == option.Null || n.Pos.Line == 0 ||
		onlyReference.MatchString(n.Written) {
		return
	}
	pos := n.Pos
	if n.LastLine > pos.Line {
		v.hidden[pos.Line] = append(v.hidden[pos.Line], span{pos.Col - 1, len(v.lines[pos.Line-1])})
		for l := pos.Line + 1; l <= min(n.LastLine, len(v.lines)); l++ {
			v.hidden[l] = append(v.hidden[l], span{indent(v.lines[l-1]), len(v.lines[l-1])})
		}
		return
	}
	v.hidden[pos.Line] = append(v.hidden[pos.Line], span{pos.Col - 1, pos.Col - 1 + pos.Len})
}

func indent(line []rune) int {
	for i, r := range line {
		if r != ' ' && r != '\t' {
			return i
		}
	}
	return len(line)
}

// frame is up to two lines before the position, its line, and carets below it.
func (v *view) frame(pos option.Pos) string {
	if pos.Line > len(v.lines) || len(v.lines[pos.Line-1]) == 0 {
		return ""
	}
	var b strings.Builder
	from := max(pos.Line-2, 1)
	if v.syntax {
		from = pos.Line // what lies before may be part of something secret
	}
	width := max(len(fmt.Sprint(pos.Line)), 2)
	for l := from; l < pos.Line; l++ {
		text, _, _ := v.show(l, 0, 0)
		b.WriteString(strings.TrimRight(fmt.Sprintf("   %*d | %s", width, l, text), " ") + "\n")
	}
	text, pad, carets := v.show(pos.Line, pos.Col-1, pos.Len)
	fmt.Fprintf(&b, " > %*d | %s\n", width, pos.Line, text)
	fmt.Fprintf(&b, "   %*s   %s%s\n", width, "", pad, strings.Repeat("^", carets))
	return b.String()
}

// maxWidth is how much of a line is shown: JSON may be one line.
const maxWidth = 140

// show is a line as it may be printed, what to put before carets that mark the
// length characters from col on, and their number.
func (v *view) show(line, col, length int) (text, pad string, carets int) {
	src := v.lines[line-1]
	spans := v.spans(line)
	from := 0
	if col > maxWidth-40 {
		from = col - 40
		text, pad = "...", "   "
	}
	var out, before strings.Builder
	for i := from; i < len(src); i++ {
		if i-from > maxWidth {
			out.WriteString("...")
			break
		}
		shown := printable(src[i])
		if s := within(spans, i); s != nil {
			shown = "***"
			i = s.to - 1
		}
		if i < col {
			before.WriteString(blank(shown))
		}
		out.WriteString(shown)
	}
	carets = max(min(length, len(src)-col, maxWidth), 1)
	if s := within(spans, col); s != nil {
		carets = 3
	}
	return strings.TrimRight(text+out.String(), " "), pad + before.String(), carets
}

// spans are the hidden parts of a line.
func (v *view) spans(line int) []span {
	text := string(v.lines[line-1])
	spans := slices.Clone(v.hidden[line])
	for _, m := range userInfo.FindAllStringIndex(text, -1) {
		spans = append(spans, runeSpan(text, m[0]+len("://"), m[1]-len("@")))
	}
	if !v.syntax && !v.loose[line] {
		return spans
	}
	if m := secretLine.FindStringSubmatchIndex(text); m != nil {
		return append(spans, runeSpan(text, m[2], m[3]))
	}
	if v.syntax && v.belowSecret(line) {
		return append(spans, span{0, len(v.lines[line-1])})
	}
	return spans
}

// belowSecret says whether a line of a file that could not be read belongs to a
// key that sounds secret, judging by the indentation.
func (v *view) belowSecret(line int) bool {
	depth := indent(v.lines[line-1])
	for l := line - 1; l >= 1; l-- {
		in := indent(v.lines[l-1])
		if in == len(v.lines[l-1]) || in >= depth {
			continue
		}
		if secretKey.MatchString(string(v.lines[l-1])) {
			return true
		}
		depth = in
	}
	return false
}

func runeSpan(text string, from, to int) span {
	return span{len([]rune(text[:from])), len([]rune(text[:to]))}
}

func within(spans []span, i int) *span {
	for k := range spans {
		if i >= spans[k].from && i < spans[k].to {
			return &spans[k]
		}
	}
	return nil
}

// printable keeps terminals from obeying a file.
func printable(r rune) string {
	switch {
	case r == '\t':
		return "  "
	case !unicode.IsPrint(r):
		return "?"
	}
	return string(r)
}

// blank is as wide as s; ideographs take two columns.
func blank(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
			b.WriteByte(' ')
		}
		b.WriteByte(' ')
	}
	return b.String()
}
