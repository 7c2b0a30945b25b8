package configs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/flushline/flushline/option"
)

// Bounds of what a file may unfold to: aliases of aliases grow without end.
const (
	maxNodes = 20_000
	maxDepth = 64
)

// parseYAML reads one document into a tree with exact positions.
func parseYAML(src string) (root *option.Node, problems []option.Problem) {
	y := &yamlReader{anchors: map[string]ast.Node{}}
	for line := range strings.SplitSeq(src, "\n") {
		y.lines = append(y.lines, []rune(line))
	}
	defer func() {
		// The parser is not ours: whatever it does with odd bytes, the answer is a
		// problem and not the end of the process.
		if r := recover(); r != nil {
			root = nil
			problems = []option.Problem{{Message: "this cannot be read as YAML"}}
		}
	}()
	tokens := lexer.Tokenize(src)
	if deep := tooDeep(tokens); deep != nil {
		y.problem(y.pos(deep), "", "this is nested too deeply")
		return nil, y.problems
	}
	if len(tokens) > 3*maxNodes {
		y.problem(option.Pos{}, "", "this has more values than any configuration needs")
		return nil, y.problems
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, []option.Problem{y.syntaxError(err)}
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			y.problem(y.node(doc.Body, 0).Pos, "write one file for each configuration", "a second document begins here")
			break
		}
		root = y.node(doc.Body, 0)
	}
	if root == nil {
		root = &option.Node{Kind: option.Null, Pos: option.Pos{Line: 1, Col: 1, Len: 1}}
	}
	return root, y.problems
}

// tooDeep finds the token at which brackets or dashes of one line are nested
// deeper than maxDepth. The parser would go down with them until memory ends.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, dashes, line := 0, 0, 0
	for _, tk := range tokens {
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets--
		case token.SequenceEntryType:
			if tk.Position.Line != line {
				line, dashes = tk.Position.Line, 0
			}
			dashes++
		}
		if brackets > maxDepth || dashes > maxDepth {
			return tk
		}
	}
	return nil
}

type yamlReader struct {
	lines    [][]rune
	anchors  map[string]ast.Node
	nodes    int
	problems []option.Problem
}

func (y *yamlReader) problem(pos option.Pos, hint, format string, args ...any) {
	y.problems = append(y.problems, option.Problem{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// syntaxError says what the parser says, and what usually causes it.
func (y *yamlReader) syntaxError(err error) option.Problem {
	p := option.Problem{Message: "this cannot be read as YAML"}
	var at interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if !errors.As(err, &at) || at.GetToken() == nil || at.GetToken().Position == nil {
		return p
	}
	p.Message = "syntax: " + at.GetMessage()
	pos := at.GetToken().Position
	p.Pos = option.Pos{Line: min(max(pos.Line, 1), len(y.lines)), Col: max(pos.Column, 1), Len: 1}
	line := string(y.lines[p.Pos.Line-1])
	switch {
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t"):
		p.Hint = "indent with spaces"
	case strings.Contains(line, "${") && strings.ContainsAny(line, "{["):
		p.Hint = `inside { } and [ ] write "${...}" in quotes`
	case strings.Contains(line, "*"):
		p.Hint = `write a value that begins with a star in quotes, as "*"`
	}
	return p
}

// node converts one value.
func (y *yamlReader) node(n ast.Node, depth int) *option.Node {
	y.nodes++
	if n == nil {
		return &option.Node{Kind: option.Null}
	}
	pos := y.pos(n.GetToken())
	if y.nodes > maxNodes || depth > maxDepth {
		if y.nodes <= maxNodes || y.nodes == maxNodes+1 {
			y.problem(pos, "", "this is nested too deeply or repeated too often")
		}
		return &option.Node{Kind: option.Broken, Pos: pos}
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return y.mapping(n.Values, pos, depth)
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{n}, pos, depth)
	case *ast.SequenceNode:
		list := &option.Node{Kind: option.List, Pos: pos}
		for _, v := range n.Values {
			list.Items = append(list.Items, y.node(v, depth+1))
		}
		return list
	case *ast.AnchorNode:
		y.anchors[n.Name.String()] = n.Value
		return y.node(n.Value, depth)
	case *ast.AliasNode:
		return y.alias(n, depth)
	}
	return y.scalar(n, pos)
}

func (y *yamlReader) mapping(values []*ast.MappingValueNode, pos option.Pos, depth int) *option.Node {
	m := &option.Node{Kind: option.Map, Pos: pos}
	var merged []*option.Node
	for _, v := range values {
		key := y.pos(v.Key.GetToken())
		if len(m.Pairs) == 0 {
			m.Pos = key
		}
		switch k := v.Key.(type) {
		case *ast.MergeKeyNode:
			merged = append(merged, y.node(v.Value, depth+1))
		case *ast.MappingKeyNode:
			y.problem(key, "write key: value", "keys that begin with a question mark are not read here")
		default:
			value := y.node(v.Value, depth+1)
			if value.Pos.Line == 0 {
				value.Pos = key
			}
			m.Pairs = append(m.Pairs, option.Pair{Key: keyText(k), Pos: key, Value: value})
		}
	}
	for _, from := range merged {
		y.merge(m, from)
	}
	return m
}

// merge adds what `<<` brings and the map does not have itself.
func (y *yamlReader) merge(m, from *option.Node) {
	switch from.Kind {
	case option.Map:
		for _, p := range from.Pairs {
			if m.Get(p.Key) == nil {
				m.Pairs = append(m.Pairs, p)
			}
		}
	case option.List:
		for _, item := range from.Items {
			y.merge(m, item)
		}
	case option.Broken:
	default:
		y.problem(from.Pos, "write <<: *name", "only a block of keys can be merged")
	}
}

// alias converts what the anchor marks once more; its positions are the anchor's,
// which is where a wrong value has to change.
func (y *yamlReader) alias(n *ast.AliasNode, depth int) *option.Node {
	name := n.Value.String()
	pos := y.pos(n.Start)
	pos.Len = 1 + len([]rune(name))
	target, ok := y.anchors[name]
	if !ok {
		y.problem(pos, fmt.Sprintf("write %q in quotes if it is a pattern", "*"+name), "nothing above is marked &%s", name)
		return &option.Node{Kind: option.Broken, Pos: pos}
	}
	return y.node(target, depth+1)
}

func (y *yamlReader) scalar(n ast.Node, pos option.Pos) *option.Node {
	out := &option.Node{Kind: option.String, Pos: pos}
	switch n := n.(type) {
	case *ast.NullNode:
		out.Kind = option.Null
	case *ast.BoolNode:
		out.Kind, out.Text = option.Bool, n.Token.Value
	case *ast.IntegerNode:
		out.Kind, out.Text = option.Int, n.Token.Value
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.Kind, out.Text = option.Float, n.GetToken().Value
	case *ast.StringNode:
		out.Text = n.Value
		if n.Token.Type == token.StringType && looksLikeNumber(n.Value) {
			out.Kind = option.Float
		}
		out.LastLine = y.lastLine(n.Token, pos)
	case *ast.LiteralNode:
		out.Text, out.Pos = n.Value.Value, y.pos(n.Start)
		out.LastLine = y.lastLine(n.Value.Token, out.Pos)
	case *ast.TagNode:
		y.problem(pos, "use quotes for text", "tags such as %s are not read here", n.Start.Value)
		out.Kind = option.Broken
	default:
		y.problem(pos, "", "this kind of value is not read here")
		out.Kind = option.Broken
	}
	return out
}

// looksLikeNumber finds the plain numbers that the parser takes for text: 1e3.
func looksLikeNumber(s string) bool {
	if s == "" || !strings.ContainsRune("+-.0123456789", rune(s[0])) {
		return false
	}
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// keyText is a key as it is compared: numbers and booleans as they are written.
func keyText(k ast.MapKeyNode) string {
	if s, ok := k.(*ast.StringNode); ok {
		return s.Value
	}
	return k.GetToken().Value
}

// lastLine is where a scalar ends if it goes over several lines, else 0: the line
// before the next token, comments included.
func (y *yamlReader) lastLine(tk *token.Token, pos option.Pos) int {
	if !strings.Contains(strings.TrimSpace(tk.Origin), "\n") && tk.Position.Line == pos.Line {
		return 0
	}
	if tk.Next == nil || tk.Next.Position == nil {
		return len(y.lines)
	}
	return max(tk.Next.Position.Line-1, pos.Line)
}

// pos is where a token stands. The parser's column is off after tabs and some
// quotes, so the text itself decides.
func (y *yamlReader) pos(tk *token.Token) option.Pos {
	if tk == nil || tk.Position == nil {
		return option.Pos{}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(tk.Origin), "\n")
	text := []rune(strings.TrimRight(first, " \t\r"))
	line := min(max(tk.Position.Line, 1), len(y.lines))
	pos := option.Pos{Line: line, Col: max(tk.Position.Column, 1), Len: max(len(text), 1)}
	if len(text) == 0 {
		return pos
	}
	for _, off := range []int{0, 1, -1} {
		if l := line + off; l >= 1 && l <= len(y.lines) {
			if col := nearest(y.lines[l-1], text, pos.Col-1); col >= 0 {
				pos.Line, pos.Col = l, col+1
				return pos
			}
		}
	}
	return pos
}

// nearest finds text in a line at col or not far from it; -1 if it is not there.
func nearest(line, text []rune, col int) int {
	const far = 80
	for off := range far {
		for _, at := range [2]int{col - off, col + off} {
			if at < 0 || at+len(text) > len(line) || !slices.Equal(line[at:at+len(text)], text) {
				continue
			}
			if at == 0 || !unicode.IsLetter(line[at-1]) && !unicode.IsDigit(line[at-1]) {
				return at // not the end of another word
			}
		}
	}
	return -1
}
