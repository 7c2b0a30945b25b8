package option

import (
	"fmt"
	"reflect"
	"strings"
)

// Decode fills dst, a pointer to a struct that holds its defaults, from a map.
// It is strict, reports every problem at once in the order of the file, and
// leaves a field that has a problem at its default.
func Decode(n *Node, dst any) []Problem { return DecodeAt(n, n.Pos, "", dst) }

// DecodeAt is Decode for a block within a file: at is where the block is said to
// be when a key is missing in it (the key that names it), path what its problems
// are called after.
func DecodeAt(n *Node, at Pos, path string, dst any) []Problem {
	d := decoder{}
	d.block(n, at, path, reflect.ValueOf(dst).Elem())
	Sort(d.problems)
	return d.problems
}

// Secrets finds the nodes whose text must not be shown, for those who print parts
// of the file: n decoded as dst, which is not changed.
func Secrets(n *Node, dst any) []*Node {
	d := decoder{}
	d.block(n, n.Pos, "", newValue(reflect.TypeOf(dst).Elem()))
	return d.secrets
}

type decoder struct {
	problems []Problem
	secrets  []*Node
}

func (d *decoder) errorf(pos Pos, path, hint, format string, args ...any) {
	d.problems = append(d.problems, Problem{Pos: pos, Path: path, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

// block decodes a map into a struct.
func (d *decoder) block(n *Node, at Pos, path string, v reflect.Value) {
	before := len(d.problems)
	switch n.Kind {
	case Null, Map:
	case Broken:
		return
	default:
		d.errorf(n.Pos, path, "", "%s wants a block of keys, found %s", last(path), found(n, false))
		return
	}
	all := slots(v.Type())
	given := make(map[string]*Pair, len(n.Pairs))
	for i := range n.Pairs {
		d.pair(&n.Pairs[i], path, all, given, v)
	}
	for i := range all {
		if s := &all[i]; s.Required && given[s.Name] == nil {
			d.errorf(at, join(path, s.Name), example(&s.Field), "%s is missing%s", s.Name, in(path))
		}
	}
	if !Failed(d.problems[before:]) {
		d.validate(n, at, path, v)
	}
}

// pair decodes one key of a block.
func (d *decoder) pair(p *Pair, path string, all []slot, given map[string]*Pair, v reflect.Value) {
	s := find(all, p.Key)
	if s == nil {
		d.unknown(p, path, all, v)
		return
	}
	if first := given[s.Name]; first != nil {
		d.errorf(p.Pos, join(path, s.Name), "", "%s stands twice%s, first%s", s.Name, in(path), spelling(first, p))
		return
	}
	given[s.Name] = p
	d.value(p.Value, p.Pos, join(path, s.Name), &s.Field, v.FieldByIndex(s.index))
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

func find(all []slot, key string) *slot {
	key = fold(key)
	for i := range all {
		if fold(all[i].Name) == key {
			return &all[i]
		}
		for _, a := range all[i].Aliases {
			if fold(a) == key {
				return &all[i]
			}
		}
	}
	return nil
}

// unknown reports a key that is no option: pasted from another program, or
// misspelt.
func (d *decoder) unknown(p *Pair, path string, all []slot, v reflect.Value) {
	if m, ok := v.Addr().Interface().(Migrating); ok {
		for _, f := range m.ForeignKeys() {
			if fold(f.Name) != fold(p.Key) {
				continue
			}
			verb := " has no meaning here"
			if f.Refuse {
				verb = " cannot be honoured"
			}
			d.problems = append(d.problems, Problem{
				Pos: p.Pos, Path: join(path, p.Key), Message: quote(p.Key) + verb, Hint: f.Why, Warning: !f.Refuse,
			})
			return
		}
	}
	var names []string
	for i := range all {
		if !all[i].Hidden {
			names = append(names, all[i].Name)
		}
	}
	hint := didYouMean(p.Key, names)
	if s := find(all, Suggest(p.Key, names)); s != nil && s.Secret {
		d.secrets = append(d.secrets, p.Value)
	}
	d.errorf(p.Pos, join(path, p.Key), hint, "unknown key %s%s", quote(p.Key), in(path))
}

func (d *decoder) validate(n *Node, at Pos, path string, v reflect.Value) {
	c, ok := v.Addr().Interface().(Validator)
	if !ok {
		return
	}
	for _, p := range c.Validate() {
		p.Pos = n.Place(at, p.Path)
		p.Path = join(path, p.Path)
		d.problems = append(d.problems, p)
	}
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

func (d *decoder) list(n *Node, path string, f *Field, v reflect.Value) {
	elem := elemField(f, v.Type().Elem())
	switch {
	case n.Kind == Null:
		return
	case n.Kind == Map || (n.Kind != List && elem.Type == TypeBlock):
		d.errorf(n.Pos, path, "begin each with a dash", "%s wants a list, found %s", last(path), found(n, f.Secret))
		return
	case n.Kind != List:
		d.errorf(n.Pos, path, listHint(n, f), "%s wants a list, found %s", last(path), found(n, f.Secret))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
	for i, item := range n.Items {
		slot := out.Index(i)
		if slot.Kind() == reflect.Struct {
			slot.Set(newValue(slot.Type()))
		}
		d.value(item, item.Pos, fmt.Sprintf("%s[%d]", path, i), &elem, slot)
	}
	v.Set(out)
}

func listHint(n *Node, f *Field) string {
	if f.Secret || n.Written != "" {
		return "put it in [brackets]"
	}
	return "write [" + n.Text + "]"
}

func (d *decoder) mapping(n *Node, path string, f *Field, v reflect.Value) {
	switch n.Kind {
	case Null:
		return
	case Map:
	default:
		d.errorf(n.Pos, path, "", "%s wants a block of names and values, found %s", last(path), found(n, f.Secret))
		return
	}
	elem := elemField(f, v.Type().Elem())
	out := reflect.MakeMapWithSize(v.Type(), len(n.Pairs))
	for i := range n.Pairs {
		p := &n.Pairs[i]
		key := reflect.ValueOf(p.Key).Convert(v.Type().Key())
		if out.MapIndex(key).IsValid() {
			d.errorf(p.Pos, join(path, p.Key), "", "%s stands twice%s", quote(p.Key), in(path))
			continue
		}
		slot := newValue(v.Type().Elem())
		d.value(p.Value, p.Pos, join(path, p.Key), &elem, slot)
		out.SetMapIndex(key, slot)
	}
	v.Set(out)
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
	return "such as " + f.Name + ": " + f.Example
}
