package option

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// slot is a field of a struct that is an option: its registry entry without what
// depends on a value, and where it is.
type slot struct {
	Field
	index []int
}

// slots reads the tags of a struct, embedded structs included. The error names
// every wrong tag; the slots are the right ones. A lane's flusher is decoded anew
// for each lane, hence the cache.
func slots(t reflect.Type) ([]slot, error) {
	if known, ok := layouts.Load(t); ok {
		l := known.(layout)
		return l.slots, l.err
	}
	all, err := readTags(t)
	layouts.Store(t, layout{all, err})
	return all, err
}

type layout struct {
	slots []slot
	err   error
}

var layouts sync.Map // reflect.Type -> layout

func readTags(t reflect.Type) ([]slot, error) {
	var out []slot
	var errs []error
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("option")
		switch {
		case tagged:
			field, err := tagField(f, tag)
			if err != nil {
				errs = append(errs, fmt.Errorf("option tag of %s.%s: %w", t, f.Name, err))
				continue
			}
			out = append(out, slot{Field: field, index: f.Index})
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			inner, err := readTags(f.Type)
			errs = append(errs, err)
			for _, s := range inner {
				s.index = append([]int{i}, s.index...)
				out = append(out, s)
			}
		}
	}
	return out, errors.Join(append(errs, refuseTwins(t, out))...)
}

func tagField(f reflect.StructField, tag string) (Field, error) {
	name, rest, _ := strings.Cut(tag, ",")
	field := Field{
		Name: name, Help: f.Tag.Get("help"), Example: f.Tag.Get("example"),
		Min: f.Tag.Get("min"), Max: f.Tag.Get("max"),
		Enum: split(f.Tag.Get("enum")), Aliases: split(f.Tag.Get("alias")),
	}
	for _, flag := range split(rest) {
		switch flag {
		case "required":
			field.Required = true
		case "secret":
			field.Secret = true
		case "hidden":
			field.Hidden = true
		default:
			return field, fmt.Errorf("the flag %q is unknown", flag)
		}
	}
	field.Type = typeName(f.Type)
	if field.Type == TypeList || field.Type == TypeMap {
		if typeName(deref(f.Type).Elem()) == "" {
			field.Type = ""
		}
	}
	switch {
	case !f.IsExported():
		return field, errors.New("the field is not exported")
	case name == "":
		return field, errors.New("the name is missing")
	case field.Type == "":
		return field, fmt.Errorf("an option cannot have the type %s", f.Type)
	}
	field.Secret = field.Secret || field.Type == TypeSecret
	field.Optional = f.Type.Kind() == reflect.Pointer && field.Type != TypeAny
	return field, checkLimits(&field, f.Type)
}

// checkLimits sees to it that min and max can be read later on.
func checkLimits(f *Field, t reflect.Type) error {
	typ := f.Type
	if typ == TypeList || typ == TypeMap {
		typ = typeName(deref(t).Elem())
	}
	for _, limit := range []string{f.Min, f.Max} {
		if limit == "" {
			continue
		}
		if _, err := readLimit(typ, limit); err != nil {
			return fmt.Errorf("limit %q: %w", limit, err)
		}
	}
	return nil
}

func refuseTwins(t reflect.Type, all []slot) error {
	owner := map[string]int{}
	for i, s := range all {
		for _, name := range append([]string{s.Name}, s.Aliases...) {
			if first, taken := owner[fold(name)]; taken && first != i {
				return fmt.Errorf("%s has the option %q twice", t, name)
			}
			owner[fold(name)] = i
		}
	}
	return nil
}
