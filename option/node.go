package option

import (
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

// Pos is a place in a file. Line and column count from 1, the column and the
// length in characters. The zero Pos is nowhere.
type Pos struct{ Line, Col, Len int }

// NodeKind says what a Node holds.
type NodeKind int

// The kinds of nodes. Broken is a value that could not be read, about which a
// problem was reported already: Decode takes it for given and leaves the default.
const (
	Null NodeKind = iota
	Bool
	Int
	Float
	String
	List
	Map
	Broken
)

// Node is a value of a configuration file with its position, whatever the
// file's syntax was.
type Node struct {
	Kind NodeKind
	Text string // of a scalar
	// Written is how a scalar stands in the file when Text was put in its place
	// ("${env:PASSWORD}"). Such a value fits every scalar type that can read it,
	// and no problem shows it.
	Written string
	Pos     Pos
	// LastLine is where a scalar ends that goes over several lines, otherwise 0.
	LastLine int
	Items    []*Node // of a List
	Pairs    []Pair  // of a Map, in the file's order
}

// Pair is one key of a Map.
type Pair struct {
	Key   string
	Pos   Pos
	Value *Node
}

// Get finds a key without regard to case and underscores; nil if there is none.
func (n *Node) Get(key string) *Pair {
	if n == nil {
		return nil
	}
	for i := range n.Pairs {
		if fold(n.Pairs[i].Key) == fold(key) {
			return &n.Pairs[i]
		}
	}
	return nil
}

// Place finds the position that a path such as "tls.cert" or "consumers[2].stream"
// is about: that of the value, or if it is missing that of the innermost block
// which is there. at is the position of n as a block.
func (n *Node) Place(at Pos, path string) Pos {
	head, rest := cutPath(path)
	switch {
	case n == nil || (head == "" && n.Kind == Null):
		return at
	case head == "" && (n.Kind == Map || n.Kind == List):
		return at
	case head == "":
		return n.Pos
	}
	if i, err := strconv.Atoi(strings.Trim(head, "[]")); head[0] == '[' && err == nil && i >= 0 && i < len(n.Items) {
		return n.Items[i].Place(n.Items[i].Pos, rest)
	}
	if p := n.Get(head); p != nil {
		return p.Value.Place(p.Pos, rest)
	}
	return at
}

// cutPath takes the first step off a path: a name, or an index in brackets.
func cutPath(path string) (head, rest string) {
	end := strings.IndexAny(path, ".[")
	if strings.HasPrefix(path, "[") {
		end = strings.IndexByte(path, ']') + 1
	}
	if end <= 0 {
		return path, ""
	}
	return path[:end], strings.TrimPrefix(path[end:], ".")
}

// FromAny builds a tree without positions from maps, slices, strings, numbers,
// bools and nil, for tests and for programs that configure flushers in code. Map
// keys are sorted. Other types are taken as the text that fmt gives them.
func FromAny(v any) *Node {
	switch v := v.(type) {
	case nil:
		return &Node{Kind: Null}
	case *Node:
		return v
	case string:
		return &Node{Kind: String, Text: v}
	case Secret:
		return &Node{Kind: String, Text: v.Reveal()}
	case bool:
		return &Node{Kind: Bool, Text: strconv.FormatBool(v)}
	}
	r := reflect.ValueOf(v)
	switch {
	case r.Kind() == reflect.Slice:
		n := &Node{Kind: List}
		for i := range r.Len() {
			n.Items = append(n.Items, FromAny(r.Index(i).Interface()))
		}
		return n
	case r.Kind() == reflect.Map:
		n := &Node{Kind: Map}
		for _, k := range r.MapKeys() {
			n.Pairs = append(n.Pairs, Pair{Key: fmt.Sprint(k.Interface()), Value: FromAny(r.MapIndex(k).Interface())})
		}
		sort.Slice(n.Pairs, func(i, j int) bool { return n.Pairs[i].Key < n.Pairs[j].Key })
		return n
	case r.CanInt() && r.Type().PkgPath() == "", r.CanUint() && r.Type().PkgPath() == "":
		return &Node{Kind: Int, Text: fmt.Sprint(v)}
	case r.CanFloat():
		return &Node{Kind: Float, Text: strconv.FormatFloat(r.Float(), 'g', -1, 64)}
	}
	return &Node{Kind: String, Text: fmt.Sprint(v)}
}

// fold is how keys are compared.
func fold(key string) string { return strings.ToLower(strings.ReplaceAll(key, "_", "")) }
