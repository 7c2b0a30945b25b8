package option

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Decode fills dst, a pointer to a struct that holds its defaults, from a map.
// It is strict, reports every problem at once in the order of the file, and
// leaves a field that has a problem at its default. dst must not share memory
// with another decoding; n is only read.
func Decode(n *Node, dst any) []Problem { return DecodeAt(n, n.Pos, "", dst) }

// DecodeAt is Decode for a block within a file: at is where the block is said to
// be when a key is missing in it (the key that names it), path what its problems
// are called after. Several structs may share the block: each key goes to the one
// that has it.
func DecodeAt(n *Node, at Pos, path string, dst ...any) []Problem {
	d := decoder{}
	d.block(n, at, path, values(dst, reflect.Value.Elem)...)
	Sort(d.problems)
	return d.problems
}

// Secrets finds the nodes whose text must not be shown, for those who print parts
// of the file: n as DecodeAt would read it. The structs are not changed.
func Secrets(n *Node, dst ...any) []*Node {
	d := decoder{}
	fresh := func(v reflect.Value) reflect.Value { return reflect.New(v.Type().Elem()).Elem() }
	d.block(n, n.Pos, "", values(dst, fresh)...)
	return d.secrets
}

func values(dst []any, convert func(reflect.Value) reflect.Value) []reflect.Value {
	out := make([]reflect.Value, len(dst))
	for i := range dst {
		out[i] = convert(reflect.ValueOf(dst[i]))
	}
	return out
}

type decoder struct {
	problems []Problem
	secrets  []*Node
}

func (d *decoder) errorf(pos Pos, path, hint, format string, args ...any) {
	d.problems = append(d.problems, Problem{Pos: pos, Path: path, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// block decodes a map into the structs that share it.
func (d *decoder) block(n *Node, at Pos, path string, dst ...reflect.Value) {
	before := len(d.problems)
	switch n.Kind {
	case Null, Map:
	case Broken:
		return
	default:
		d.errorf(n.Pos, path, "", "%s wants a block of keys, found %s", last(path), found(n, false))
		return
	}
	b := blockOf(dst)
	if b.defect != nil {
		d.errorf(at, path, "please report it", "this is a defect of the program, not of the file: %v", b.defect)
	}
	for i := range n.Pairs {
		d.pair(&n.Pairs[i], path, b)
	}
	for i := range b.slots {
		if s := &b.slots[i]; s.Required && b.given[s.Name] == nil {
			d.errorf(at, join(path, s.Name), example(&s.Field), "%s is missing%s", s.Name, in(path))
		}
	}
	if !Failed(d.problems[before:]) {
		for _, v := range dst {
			d.validate(b, at, path, v)
		}
	}
}

// blockState is one block while its keys are decoded.
type blockState struct {
	dst    []reflect.Value
	slots  []slot
	owner  []reflect.Value // of each slot
	given  map[string]*Pair
	defect error
}

func blockOf(dst []reflect.Value) *blockState {
	b := &blockState{dst: dst, given: map[string]*Pair{}}
	for _, v := range dst {
		all, err := slots(v.Type())
		b.defect = errors.Join(b.defect, err)
		b.slots = append(b.slots, all...)
		for range all {
			b.owner = append(b.owner, v)
		}
	}
	if len(dst) > 1 {
		b.defect = errors.Join(b.defect, refuseTwins(dst[len(dst)-1].Type(), b.slots))
	}
	return b
}

// pair decodes one key of a block.
func (d *decoder) pair(p *Pair, path string, b *blockState) {
	i := find(b.slots, p.Key)
	if i < 0 {
		d.unknown(p, path, b)
		return
	}
	s := &b.slots[i]
	if first := b.given[s.Name]; first != nil {
		d.errorf(p.Pos, join(path, s.Name), "", "%s stands twice%s, first%s", s.Name, in(path), spelling(first, p))
		return
	}
	b.given[s.Name] = p
	d.value(p.Value, p.Pos, join(path, s.Name), &s.Field, b.owner[i].FieldByIndex(s.index))
}

func spelling(first, second *Pair) string {
	text := ""
	if first.Key != second.Key {
		text = " as " + quote(first.Key)
	}
	if first.Pos.Line > 0 {
		text += fmt.Sprintf(" in line %d", first.Pos.Line)
	}
	return text
}

// find is the index of the slot that a key names, or -1.
func find(all []slot, key string) int {
	key = fold(key)
	return slices.IndexFunc(all, func(s slot) bool {
		return fold(s.Name) == key || slices.ContainsFunc(s.Aliases, func(a string) bool { return fold(a) == key })
	})
}

// unknown reports a key that is no option: pasted from another program, or
// misspelt.
func (d *decoder) unknown(p *Pair, path string, b *blockState) {
	if f := foreign(p.Key, b.dst); f != nil {
		d.foreign(f, p, path)
		return
	}
	var names []string
	for i := range b.slots {
		if !b.slots[i].Hidden {
			names = append(names, b.slots[i].Name)
		}
	}
	if i := find(b.slots, Suggest(p.Key, names)); i >= 0 && b.slots[i].Secret {
		d.secrets = append(d.secrets, p.Value)
	}
	d.errorf(p.Pos, join(path, p.Key), didYouMean(p.Key, names), "unknown key %s%s", quote(p.Key), in(path))
}

func (d *decoder) validate(b *blockState, at Pos, path string, v reflect.Value) {
	var found []Problem
	switch c := v.Addr().Interface().(type) {
	case Validator:
		found = c.Validate()
	case interface{ Validate() error }:
		found = fromError(c.Validate())
	}
	for _, p := range found {
		p.Pos = b.place(at, p.Path)
		if !strings.Contains(p.Message, last(p.Path)) && p.Path != "" {
			p.Message = last(p.Path) + ": " + p.Message
		}
		p.Path = join(path, p.Path)
		d.problems = append(d.problems, p)
	}
}

// place is Node.Place for a key that may stand under an alias.
func (b *blockState) place(at Pos, path string) Pos {
	head, rest := cutPath(path)
	if p := b.given[head]; p != nil {
		return p.Value.Place(p.Pos, rest)
	}
	return at
}

// fromError takes joined errors apart. What an error begins with is the path of
// the key it is about, if it looks like one.
func fromError(err error) []Problem {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []Problem
		for _, e := range joined.Unwrap() {
			all = append(all, fromError(e)...)
		}
		return all
	}
	text := err.Error()
	end := strings.IndexFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_.[]", r)
	})
	return []Problem{{Path: text[:max(end, 0)], Message: text}}
}

// value decodes one value. at is the position of its key.
func (d *decoder) value(n *Node, at Pos, path string, f *Field, v reflect.Value) {
	if f.Secret {
		d.secrets = append(d.secrets, n)
	}
	if n.Kind == Broken {
		return
	}
	if f.Type == TypeAny {
		v.Set(reflect.ValueOf(n))
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			fresh := newValue(v.Type().Elem())
			v.Set(fresh.Addr())
		}
		v = v.Elem()
	}
	switch f.Type {
	case TypeBlock:
		d.block(n, at, path, v)
	case TypeList:
		d.list(n, path, f, v)
	case TypeMap:
		d.mapping(n, path, f, v)
	default:
		d.scalar(n, at, path, f, v)
	}
}

func join(path, name string) string {
	switch {
	case path == "":
		return name
	case name == "":
		return path
	case name[0] == '[':
		return path + name
	}
	return path + "." + name
}

func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

// last is the name of a value in a message: the position says the rest.
func last(path string) string {
	if path == "" {
		return "this"
	}
	return path[strings.LastIndexByte(path, '.')+1:]
}

func example(f *Field) string {
	if f.Example == "" {
		return ""
	}
	return "for example " + f.Name + ": " + f.Example
}
