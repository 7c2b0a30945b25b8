package option

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// wants says what a type reads, in messages.
var wants = map[string]string{
	TypeText: "text", TypeSecret: "text", TypeBool: "true or false", TypeInt: "a whole number",
	TypeFloat: "a number", TypeDuration: "a duration such as 30s", TypeSize: "a size such as 16MiB",
	TypeList: "a list", TypeMap: "a block of names and values", TypeBlock: "a block of keys",
}

// scalar decodes a value that is one word of the file.
func (d *decoder) scalar(n *Node, at Pos, path string, f *Field, v reflect.Value) {
	if n.Kind == Null {
		d.errorf(at, path, "write one, or remove the line", "%s has no value", last(path))
		return
	}
	if !fits(n, f.Type) {
		d.errorf(n.Pos, path, quoteHint(n, f), "%s wants %s, found %s", last(path), wants[f.Type], found(n, f.Secret))
		return
	}
	if err := setScalar(n, f, v); err != nil {
		if f.Secret || n.Written != "" {
			// The error may show the value.
			err = fmt.Errorf("%s is not %s that fits here", found(n, f.Secret), wants[f.Type])
		}
		d.errorf(n.Pos, path, "", "%s: %v", last(path), err)
	}
}

// fits says whether a kind of scalar may stand for a type. Numbers may be text
// (project: 123), but text is no number.
func fits(n *Node, typ string) bool {
	if n.Kind == List || n.Kind == Map {
		return false
	}
	if n.Written != "" {
		return true
	}
	switch typ {
	case TypeText, TypeSecret:
		return n.Kind != Bool
	case TypeBool:
		return n.Kind == Bool
	case TypeInt, TypeFloat:
		return n.Kind == Int || n.Kind == Float
	}
	return n.Kind != Bool
}

func quoteHint(n *Node, f *Field) string {
	switch {
	case f.Secret || n.Written != "":
		return ""
	case n.Kind == Bool && f.Type == TypeText:
		return `write "` + n.Text + `"`
	case n.Kind == String && (f.Type == TypeInt || f.Type == TypeFloat || f.Type == TypeBool):
		if _, err := strconv.ParseFloat(n.Text, 64); err == nil || n.Text == "true" || n.Text == "false" {
			return "remove the quotes"
		}
	}
	return ""
}

func setScalar(n *Node, f *Field, v reflect.Value) error {
	if f.Type == TypeDuration {
		return setDuration(n.Text, f, v)
	}
	fresh := reflect.New(v.Type())
	if u, ok := fresh.Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(n.Text)); err != nil {
			return err
		}
		if f.Type == TypeSize {
			if err := f.limit(float64(fresh.Elem().Int()), n.Text); err != nil {
				return err
			}
		}
		v.Set(fresh.Elem())
		return nil
	}
	switch f.Type {
	case TypeBool:
		return setBool(n.Text, v)
	case TypeInt:
		return setInt(n.Text, f, v)
	case TypeFloat:
		return setFloat(n.Text, f, v)
	}
	return setText(n.Text, f, v)
}

func setText(text string, f *Field, v reflect.Value) error {
	if f.Enum == nil {
		v.SetString(text)
		return nil
	}
	if text == "" && slices.Contains(f.Enum, None) {
		text = None
	}
	for _, e := range f.Enum {
		if strings.EqualFold(e, text) {
			v.SetString(e)
			return nil
		}
	}
	wanted := "want " + oneOf(f.Enum)
	if s := Suggest(text, f.Enum); s != "" {
		wanted = "did you mean " + quote(s) + "? " + wanted
	}
	return fmt.Errorf("%s is none of its values: %s", quote(text), wanted)
}

// None is what an empty text means where it is one of the values.
const None = "none"

func setBool(text string, v reflect.Value) error {
	b, err := strconv.ParseBool(strings.ToLower(text))
	if err != nil {
		return fmt.Errorf("%s is neither true nor false", quote(text))
	}
	v.SetBool(b)
	return nil
}

func setInt(text string, f *Field, v reflect.Value) error {
	plain := strings.ReplaceAll(text, "_", "")
	n, err := strconv.ParseInt(plain, 10, 64)
	if err != nil {
		n, err = strconv.ParseInt(plain, 0, 64)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s is not a whole number", text)
	case v.CanUint() && (n < 0 || v.OverflowUint(uint64(n))), v.CanInt() && v.OverflowInt(n):
		return fmt.Errorf("%s is out of range", text)
	}
	if err := f.limit(float64(n), text); err != nil {
		return err
	}
	if v.CanUint() {
		v.SetUint(uint64(n))
		return nil
	}
	v.SetInt(n)
	return nil
}

func setFloat(text string, f *Field, v reflect.Value) error {
	x, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return fmt.Errorf("%s is not a number that fits", text)
	}
	if err := f.limit(x, text); err != nil {
		return err
	}
	v.SetFloat(x)
	return nil
}

func setDuration(text string, f *Field, v reflect.Value) error {
	x, err := ParseDuration(text)
	switch {
	case err != nil:
		return err
	case x < 0:
		return fmt.Errorf("%s is below zero", text)
	}
	if err := f.limit(float64(x), text); err != nil {
		return err
	}
	v.SetInt(int64(x))
	return nil
}

// limit checks the tags min and max, which read what the value itself reads.
func (f *Field) limit(x float64, text string) error {
	if low, err := readLimit(f.Type, f.Min); err == nil && x < low {
		return fmt.Errorf("%s is out of range: want at least %s", text, f.Min)
	}
	if high, err := readLimit(f.Type, f.Max); err == nil && x > high {
		return fmt.Errorf("%s is out of range: want at most %s", text, f.Max)
	}
	return nil
}

func readLimit(typ, limit string) (float64, error) {
	switch typ {
	case TypeDuration:
		d, err := ParseDuration(limit)
		return float64(d), err
	case TypeSize:
		var b Bytes
		err := b.UnmarshalText([]byte(limit))
		return float64(b), err
	case TypeInt, TypeFloat:
		return strconv.ParseFloat(limit, 64)
	}
	return 0, fmt.Errorf("the type %s has no limits", typ)
}

// found says what stands in the file. It never shows a secret or a value that
// came from elsewhere.
func found(n *Node, secret bool) string {
	switch {
	case n.Kind == Null:
		return "nothing"
	case n.Kind == List:
		return "a list"
	case n.Kind == Map:
		return "a block of keys"
	case secret:
		return "another type of value"
	case n.Written != "":
		return "the value of " + n.Written
	case n.Kind == Bool:
		return n.Text
	case n.Kind == String:
		return "the text " + quote(n.Text)
	}
	return "the number " + n.Text
}

func oneOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// quote shows what someone wrote, on one line and not without end.
func quote(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return strconv.Quote(s)
}
