package option

import (
	"encoding"
	"errors"
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
// in the order of the struct. Fields whose tags are wrong are left out: see Check.
func Fields(v any) []Field { return blockFields(reflect.ValueOf(v).Elem()) }

func blockFields(v reflect.Value) []Field {
	var fields []Field
	all, _ := slots(v.Type())
	for _, s := range all {
		fields = append(fields, s.describe(v.FieldByIndex(s.index)))
	}
	return fields
}

// Check finds what is wrong with the tags of v, a pointer to a struct, and of the
// structs in it. It is for tests: what it finds is a defect of the program, which
// Decode reports too.
func Check(v any) error {
	if t := reflect.TypeOf(v); t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("couldn't read the options of %T: want a pointer to a struct", v)
	}
	return checkType(reflect.TypeOf(v).Elem())
}

func checkType(t reflect.Type) error {
	all, err := slots(t)
	errs := []error{err}
	for _, s := range all {
		ft := deref(t.FieldByIndex(s.index).Type)
		if s.Type == TypeList || s.Type == TypeMap {
			ft = deref(ft.Elem())
		}
		if s.Type == TypeBlock || (ft.Kind() == reflect.Struct && typeName(ft) == TypeBlock) {
			errs = append(errs, checkType(ft))
		}
	}
	return errors.Join(errs...)
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

// typeName is empty for types that cannot be options.
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
	return ""
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
