package option

import (
	"fmt"
	"reflect"
)

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
