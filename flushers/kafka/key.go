package kafka

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/protocol"
)

// keySeparator is what iLogtail puts between the values of a key.
const keySeparator = "###"

// field is a part of a record's key: a placeholder of a template, or what templates do
// not have.
type field struct {
	template *protocol.Template // nil: own
	own      func(*protocol.LogGroup) string
}

var (
	placed = []string{"project", "logstore", "config", "host"}
	owned  = map[string]func(*protocol.LogGroup) string{
		"source": func(g *protocol.LogGroup) string { return g.Source },
		"topic":  func(g *protocol.LogGroup) string { return g.Topic },
	}
)

// readField understands "tag.app".
func readField(text string) (field, error) {
	if own := owned[text]; own != nil {
		return field{own: own}, nil
	}
	kind, name, _ := strings.Cut(text, ".")
	if named := (kind == "tag" || kind == "content") && name != ""; named || slices.Contains(placed, text) {
		t, err := protocol.CompileTemplate("{" + text + "}")
		return field{template: t}, err
	}
	return field{}, fmt.Errorf("%q is no field: write %s, source, topic, tag.NAME or content.NAME (content.%s for a field of the logs)",
		text, strings.Join(placed, ", "), text)
}

func readFields(texts []string) ([]field, error) {
	all := make([]field, 0, len(texts))
	for _, text := range texts {
		f, err := readField(text)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// appendKey appends the values of the fields in their order. There is no key when no
// field has a value.
func appendKey(dst []byte, fields []field, v *protocol.TemplateVars) (key []byte, keyed bool) {
	begin := len(dst)
	for i := range fields {
		if i > 0 {
			dst = append(dst, keySeparator...)
		}
		var has bool
		dst, has = fields[i].append(dst, v)
		keyed = keyed || has
	}
	if !keyed {
		return dst[:begin], false
	}
	return dst, true
}

// append says whether the group or the log has the field.
func (f *field) append(dst []byte, v *protocol.TemplateVars) ([]byte, bool) {
	if f.own == nil {
		dst, err := f.template.Append(dst, v)
		return dst, err == nil
	}
	if v.Group == nil {
		return dst, false
	}
	value := f.own(v.Group)
	return append(dst, value...), value != ""
}
