package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/flushline/flushline/option"
)

// parseJSON reads one JSON value into a tree with exact positions.
func parseJSON(src string) (*option.Node, []option.Problem) {
	j := &jsonReader{src: src, dec: json.NewDecoder(strings.NewReader(src)), lines: lineStarts(src)}
	j.dec.UseNumber()
	root, err := j.value(0)
	if err == nil {
		if _, err = j.dec.Token(); err == nil {
			err = errors.New("there is more behind the end of the configuration")
		} else if errors.Is(err, io.EOF) {
			return root, nil
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends before its last bracket is closed")
	}
	at := int(j.dec.InputOffset())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = j.culprit(syntax)
	}
	return nil, []option.Problem{{Pos: j.pos(at, 1), Message: "syntax: " + err.Error()}}
}

// culprit is the offset of the character that an error quotes. Offsets of errors
// count it or not, depending on where in the standard library they come from.
func (j *jsonReader) culprit(err *json.SyntaxError) int {
	_, quoted, _ := strings.Cut(err.Error(), "invalid character '")
	for _, at := range []int{int(err.Offset) - 1, int(err.Offset)} {
		if at >= 0 && at < len(j.src) && quoted != "" && strings.HasPrefix(quoted, j.src[at:at+1]) {
			return at
		}
	}
	return max(int(err.Offset)-1, 0)
}

type jsonReader struct {
	src   string
	dec   *json.Decoder
	lines []int
}

// value reads the next value; its position is where its first character stands.
func (j *jsonReader) value(depth int) (*option.Node, error) {
	start := j.skip(int(j.dec.InputOffset()))
	tok, err := j.dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, errors.New("this is nested too deeply")
	}
	n := &option.Node{Pos: j.pos(start, int(j.dec.InputOffset())-start)}
	switch t := tok.(type) {
	case json.Delim:
		n.Pos.Len = 1
		if t == '{' {
			return n, j.object(n, depth)
		}
		return n, j.array(n, depth)
	case string:
		n.Kind, n.Text = option.String, t
	case json.Number:
		n.Kind, n.Text = option.Int, t.String()
		if strings.ContainsAny(n.Text, ".eE") {
			n.Kind = option.Float
		}
	case bool:
		n.Kind, n.Text = option.Bool, fmt.Sprint(t)
	default:
		n.Kind = option.Null
	}
	return n, nil
}

func (j *jsonReader) object(n *option.Node, depth int) error {
	n.Kind = option.Map
	for j.dec.More() {
		key, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		value, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		n.Pairs = append(n.Pairs, option.Pair{Key: key.Text, Pos: key.Pos, Value: value})
	}
	_, err := j.dec.Token()
	return err
}

func (j *jsonReader) array(n *option.Node, depth int) error {
	n.Kind = option.List
	for j.dec.More() {
		item, err := j.value(depth + 1)
		if err != nil {
			return err
		}
		n.Items = append(n.Items, item)
	}
	_, err := j.dec.Token()
	return err
}

// skip passes over what stands between two tokens.
func (j *jsonReader) skip(at int) int {
	for at < len(j.src) && strings.IndexByte(" \t\r\n,:", j.src[at]) >= 0 {
		at++
	}
	return at
}

func (j *jsonReader) pos(at, length int) option.Pos {
	at = min(at, len(j.src))
	line := sort.SearchInts(j.lines, at+1)
	text := j.src[at:min(at+length, len(j.src))]
	return option.Pos{
		Line: line,
		Col:  utf8.RuneCountInString(j.src[j.lines[line-1]:at]) + 1,
		Len:  max(utf8.RuneCountInString(text), 1),
	}
}

func lineStarts(src string) []int {
	starts := []int{0}
	for i := range len(src) {
		if src[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}
