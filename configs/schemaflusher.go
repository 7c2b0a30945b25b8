package configs

import (
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// EntryFields are the options that an entry of every kind has beside its own.
func EntryFields() []option.Field { return option.Fields(defaultEntry()) }

// EntryForeignKeys are iLogtail's keys that an entry of every kind may have.
func EntryForeignKeys() []option.ForeignKey { return option.ForeignKeys(defaultEntry()) }

// flusherSchema chooses the kind's own schema by type, in both spellings.
func flusherSchema(kinds *flushers.Registry) object {
	var names, cases []any
	var all []string
	for i := range kinds.Kinds() {
		k := &kinds.Kinds()[i]
		names, all = append(names, k.Name), append(all, k.Name)
		cases = append(cases, object{"if": ofType(object{"pattern": typePattern(k.Name)}), "then": object{"allOf": entryCase(k)}})
	}
	known := ofType(object{"anyOf": []any{object{"enum": names}, object{"pattern": typePattern(all...)}}})
	return object{"type": "object", "allOf": append([]any{known}, cases...)}
}

// ofType says that the type, in either spelling of its key, fits a schema.
func ofType(s object) object {
	var either []any
	for _, key := range []string{"type", "Type"} {
		either = append(either, object{"properties": object{key: s}, "required": []string{key}})
	}
	return object{"anyOf": either}
}

func typePattern(names ...string) string {
	return "^(flusher_)?(" + strings.Join(names, "|") + ")([/#].*)?$"
}

// entryCase is what holds for an entry of a kind.
func entryCase(k *flushers.Kind) []any {
	all := []any{object{"$ref": "#/$defs/flusher_" + k.Name}}
	if k.New != nil {
		all = append(all, requirements(option.Fields(k.New()), detailKey)...)
	}
	return all
}

// entrySchema are the keys of an entry. Those of `detail` are the same.
func entrySchema(k *flushers.Kind) object {
	if k.New == nil {
		return object{"type": "object", "description": k.Summary}
	}
	at := "#/$defs/flusher_" + k.Name
	f := k.New()
	entry := openBlock(at, append(EntryFields(), option.Fields(f)...))
	entry["description"] = k.Summary
	acceptForeign(entry, append(EntryForeignKeys(), option.ForeignKeys(f)...))
	properties := entry["properties"].(object)
	if properties[detailKey] == nil {
		properties[detailKey] = object{"$ref": at, "doNotSuggest": true}
	}
	return entry
}

// acceptForeign adds the keys of other programs. Of those that are refused whatever
// they ask for, an empty value is accepted, as loading does; it says what the values
// of the others mean.
func acceptForeign(block object, keys []option.ForeignKey) {
	properties := block["properties"].(object)
	for _, f := range keys {
		head, rest, nested := strings.Cut(f.Name, ".")
		if below, ok := properties[head].(object); nested && ok && below["properties"] != nil {
			f.Name = rest
			acceptForeign(below, []option.ForeignKey{f})
			continue
		}
		if nested {
			properties[head] = object{"type": []string{"object", "null"}, "deprecated": true, "doNotSuggest": true}
			continue
		}
		key := object{"description": f.Why, "deprecated": true, "doNotSuggest": true}
		if f.Refuse && len(f.Same) == 0 {
			key["enum"] = []any{nil, []any{}, object{}}
		}
		properties[head] = key
	}
}
