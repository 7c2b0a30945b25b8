package option

import (
	"reflect"
	"slices"
	"strings"
)

// ForeignKey is a key that other programs have in the same block. Without Refuse
// it changes nothing here and is a warning; with it the key asks for something
// we cannot do, which is an error. Why completes "key: ...".
type ForeignKey struct {
	Name   string
	Why    string
	Refuse bool
	Secret bool // its value may hold a password: nobody shows it
	// Same are the values that ask for what happens here anyway: with one of them
	// the key is accepted in silence. They are compared without regard to case; an
	// empty text is written "", and an empty list or block is always accepted.
	Same []string
	// Keys are what may stand below a key that holds a block. Why and Refuse then
	// speak of a value that is no block.
	Keys []ForeignKey
}

// Migrating is implemented by option structs (by their pointer) into which people
// paste the configuration of another program.
type Migrating interface{ ForeignKeys() []ForeignKey }

// ForeignKeys are those of v, a pointer to an option struct, and of the blocks in
// it, whose names then are paths ("Retry.Enable"): what describe and docs show.
func ForeignKeys(v any) []ForeignKey { return foreignKeys(reflect.ValueOf(v).Elem(), "") }

func foreignKeys(v reflect.Value, path string) []ForeignKey {
	var all []ForeignKey
	if m, ok := v.Addr().Interface().(Migrating); ok {
		for _, f := range m.ForeignKeys() {
			all = f.spread(all, path)
		}
	}
	slots, _ := slots(v.Type())
	for _, s := range slots {
		if s.Type == TypeBlock {
			inner := reflect.New(deref(v.FieldByIndex(s.index).Type())).Elem()
			all = append(all, foreignKeys(inner, join(path, s.Name))...)
		}
	}
	return all
}

// spread adds the key, or what stands below it.
func (f ForeignKey) spread(all []ForeignKey, path string) []ForeignKey {
	path = join(path, f.Name)
	for _, below := range f.Keys {
		all = below.spread(all, path)
	}
	if len(f.Keys) == 0 {
		f.Name = path
		all = append(all, f)
	}
	return all
}

// foreign finds the foreign key that a block of the structs in dst has.
func foreign(key string, dst []reflect.Value) *ForeignKey {
	for _, v := range dst {
		if m, ok := v.Addr().Interface().(Migrating); ok {
			if f := findForeign(m.ForeignKeys(), key); f != nil {
				return f
			}
		}
	}
	return nil
}

func findForeign(all []ForeignKey, key string) *ForeignKey {
	i := slices.IndexFunc(all, func(f ForeignKey) bool { return fold(f.Name) == fold(key) })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// foreign reports a foreign key, unless its value asks for nothing.
func (d *decoder) foreign(f *ForeignKey, p *Pair, path string) {
	n := p.Value
	switch {
	case f.says(n):
		return
	case len(f.Keys) > 0 && n.Kind == Map:
		d.foreignBlock(f, n, join(path, p.Key))
		return
	}
	if f.Secret {
		d.secrets = append(d.secrets, n)
	}
	verb := " has no meaning here"
	switch {
	case f.Refuse && len(f.Same) > 0:
		verb = " cannot be " + found(n, f.Secret)
	case f.Refuse:
		verb = " cannot be honoured"
	}
	d.problems = append(d.problems, Problem{
		Pos: p.Pos, Path: join(path, p.Key), Message: quote(p.Key) + verb, Hint: f.Why, Warning: !f.Refuse,
	})
}

// says is whether the value is what happens here anyway.
func (f *ForeignKey) says(n *Node) bool {
	switch n.Kind {
	case Broken:
		return true // a problem was reported already
	case List:
		return len(n.Items) == 0
	case Map:
		return len(n.Pairs) == 0
	case Null:
		return true
	}
	return slices.ContainsFunc(f.Same, func(same string) bool { return strings.EqualFold(same, n.Text) })
}

func (d *decoder) foreignBlock(f *ForeignKey, n *Node, path string) {
	for i := range n.Pairs {
		p := &n.Pairs[i]
		if below := findForeign(f.Keys, p.Key); below != nil {
			d.foreign(below, p, path)
			continue
		}
		var names []string
		for _, k := range f.Keys {
			names = append(names, k.Name)
		}
		d.errorf(p.Pos, join(path, p.Key), didYouMean(p.Key, names), "unknown key %s%s", quote(p.Key), in(path))
	}
}
