package option

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// The types of fields, as the registry names them.
const (
	TypeText     = "text"
	TypeSecret   = "secret"
	TypeBool     = "bool"
	TypeInt      = "int"
	TypeFloat    = "float"
	TypeDuration = "duration"
	TypeSize     = "size"
	TypeList     = "list"
	TypeMap      = "map"
	TypeBlock    = "block"
	TypeAny      = "any"
)

// Field is one option: all that decoding, describe, docs and schema know of it.
type Field struct {
	Name     string
	Type     string
	Default  string // as it would stand in a file; empty if there is none
	Help     string
	Example  string
	Min, Max string
	Required bool
	Secret   bool
	Hidden   bool
	Optional bool // a block or value behind a pointer: absent unless given
	Enum     []string
	Aliases  []string
	Fields   []Field // of a block
	Elem     *Field  // of a list or map: its values
}

// Fields lists the options of v, a pointer to a struct that holds its defaults,
// in the order of the struct.
func Fields(v any) []Field {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Pointer || r.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("option: Fields wants a pointer to a struct, got %T", v))
	}
	return blockFields(r.Elem())
}

func blockFields(v reflect.Value) []Field {
	var fields []Field
	for _, s := range slots(v.Type()) {
		fields = append(fields, s.describe(v.FieldByIndex(s.index)))
	}
	return fields
}

// slot is a field of a struct that is an option: its registry entry without what
// depends on a value, and where it is.
type slot struct {
	Field
	index []int
}

// slots reads the tags of a struct, embedded structs included.
func slots(t reflect.Type) []slot {
	var out []slot
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("option")
		switch {
		case tagged && !f.IsExported():
			panic(fmt.Sprintf("option: %s.%s is tagged but not exported", t, f.Name))
		case tagged:
			out = append(out, slot{Field: tagField(t, f, tag), index: f.Index})
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			for _, s := range slots(f.Type) {
				s.index = append([]int{i}, s.index...)
				out = append(out, s)
			}
		}
	}
	refuseTwins(t, out)
	return out
}

func tagField(t reflect.Type, f reflect.StructField, tag string) Field {
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
			panic(fmt.Sprintf("option: %s.%s has the unknown flag %q", t, f.Name, flag))
		}
	}
	if name == "" {
		panic(fmt.Sprintf("option: %s.%s has no name", t, f.Name))
	}
	field.Type = typeName(f.Type)
	field.Secret = field.Secret || field.Type == TypeSecret
	field.Optional = f.Type.Kind() == reflect.Pointer && field.Type != TypeAny
	return field
}

func refuseTwins(t reflect.Type, all []slot) {
	seen := map[string]bool{}
	for _, s := range all {
		for _, name := range append([]string{s.Name}, s.Aliases...) {
			if seen[fold(name)] {
				panic(fmt.Sprintf("option: %s has the key %q twice", t, name))
			}
			seen[fold(name)] = true
		}
	}
}

// describe completes the entry with what the value holds.
func (s *slot) describe(v reflect.Value) Field {
	f := s.Field
	switch f.Type {
	case TypeBlock:
		f.Fields = blockFields(filled(v))
	case TypeList, TypeMap:
		elem := elemField(&f, v.Type().Elem())
		if elem.Type == TypeBlock {
			elem.Fields = blockFields(newValue(deref(v.Type().Elem())))
		}
		f.Elem = &elem
	}
	if !f.Secret && !f.Required {
		f.Default = format(v)
	}
	return f
}

// elemField is the entry of a list's or map's values: limits, enum and secrecy
// are said once, at the list.
func elemField(f *Field, t reflect.Type) Field {
	return Field{Type: typeName(t), Enum: f.Enum, Min: f.Min, Max: f.Max, Secret: f.Secret}
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType    = reflect.TypeFor[time.Duration]()
	bytesType       = reflect.TypeFor[Bytes]()
	secretType      = reflect.TypeFor[Secret]()
	nodeType        = reflect.TypeFor[*Node]()
)

func typeName(t reflect.Type) string {
	if t == nodeType {
		return TypeAny
	}
	t = deref(t)
	switch {
	case t == secretType:
		return TypeSecret
	case t == bytesType:
		return TypeSize
	case t == durationType:
		return TypeDuration
	case reflect.PointerTo(t).Implements(textUnmarshaler):
		return TypeText
	}
	switch t.Kind() {
	case reflect.String:
		return TypeText
	case reflect.Bool:
		return TypeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return TypeInt
	case reflect.Float32, reflect.Float64:
		return TypeFloat
	case reflect.Struct:
		return TypeBlock
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return TypeList
		}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return TypeMap
		}
	}
	panic(fmt.Sprintf("option: a field cannot have the type %s", t))
}

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// newValue makes a settable value of t with its defaults.
func newValue(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(Defaulter); ok {
		d.Defaults()
	}
	return p.Elem()
}

// filled is what a pointer points to, or its defaults if it is nil.
func filled(v reflect.Value) reflect.Value {
	switch {
	case v.Kind() != reflect.Pointer:
		return v
	case v.IsNil():
		return newValue(v.Type().Elem())
	}
	return v.Elem()
}

// format writes a default as it would stand in a file.
func format(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() || v.Type() == nodeType {
			return ""
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(x)
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		if err != nil {
			return ""
		}
		return string(text)
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool, reflect.Float32, reflect.Float64:
		return fmt.Sprint(v.Interface())
	case reflect.Slice:
		return formatList(v)
	case reflect.Map, reflect.Struct:
		return ""
	}
	if v.CanUint() {
		return strconv.FormatUint(v.Uint(), 10)
	}
	return strconv.FormatInt(v.Int(), 10)
}

func formatList(v reflect.Value) string {
	var parts []string
	for i := range v.Len() {
		text := format(v.Index(i))
		if text == "" {
			return ""
		}
		parts = append(parts, text)
	}
	if parts == nil {
		return ""
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
