package configs

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// object is a part of a JSON schema. Its keys come out sorted, so that the same
// program always writes the same bytes.
type object = map[string]any

// Schema is a JSON Schema (draft 2020-12) of the file format with the options of
// all kinds, for editors: made from the same fields that loading uses. It knows
// keys as they are documented; loading also takes them in other spellings.
func Schema(kinds *flushers.Registry) ([]byte, error) {
	root := block(option.Fields(defaultFile()))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "flushline configuration"
	defs := object{
		"reference": object{
			"type": "string", "pattern": `\$\{(env|file):[^}]+\}`,
			"description": "A value from the environment or from a file.",
		},
		"flusher": flusherSchema(kinds),
	}
	for _, k := range kinds.Kinds() {
		fields := append(option.Fields(defaultEntry()), option.Fields(k.New())...)
		entry := block(fields)
		entry["description"] = k.Summary
		defs["flusher_"+k.Name] = entry
	}
	root["$defs"] = defs

	properties := root["properties"].(object)
	source := block(option.Fields(&sourceBlock{}))
	source["minProperties"], source["maxProperties"] = 1, 1
	for _, queue := range source["properties"].(object) {
		own := queue.(object)["properties"].(object)
		own["key"] = described(keySchema(), own["key"])
	}
	properties["source"] = described(source, properties["source"])
	route := block(option.Fields(defaultRoute()))
	list := route["properties"].(object)
	list["flushers"] = described(object{
		"type": "array", "minItems": 1, "items": object{"$ref": "#/$defs/flusher"},
	}, list["flushers"])
	properties["routes"] = described(object{"type": "array", "minItems": 1, "items": route}, properties["routes"])
	letters := defaultDeadLetter()
	properties["dead_letter"] = described(object{
		"anyOf": []any{block(option.Fields(&letters)), object{"const": "none"}},
	}, properties["dead_letter"])

	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("couldn't write the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// EntryFields are the options that an entry of every kind has beside its own.
func EntryFields() []option.Field { return option.Fields(defaultEntry()) }

// described moves the description of a placeholder to what stands in its place.
func described(s object, placeholder any) object {
	if text, ok := placeholder.(object)["description"]; ok {
		s["description"] = text
	}
	return s
}

// flusherSchema chooses the kind's own schema by type.
func flusherSchema(kinds *flushers.Registry) object {
	var names, cases []any
	for _, k := range kinds.Kinds() {
		spellings := []any{k.Name, "flusher_" + k.Name}
		names = append(names, spellings...)
		cases = append(cases, object{
			"if": object{
				"properties": object{"type": object{"enum": spellings}},
				"required":   []string{"type"},
			},
			"then": object{"$ref": "#/$defs/flusher_" + k.Name},
		})
	}
	return object{
		"type": "object", "required": []string{"type"},
		"properties": object{"type": object{"enum": names}},
		"allOf":      cases,
	}
}

// block is the schema of a block of keys.
func block(fields []option.Field) object {
	properties := object{}
	required := []string{}
	for i := range fields {
		f := &fields[i]
		s := schemaOf(f)
		if f.Help != "" {
			s["description"] = f.Help
		}
		properties[f.Name] = s
		for _, alias := range f.Aliases {
			properties[alias] = s
		}
		if f.Required && len(f.Aliases) == 0 {
			required = append(required, f.Name)
		}
	}
	return object{
		"type": []string{"object", "null"}, "properties": properties,
		"required": required, "additionalProperties": false,
	}
}

// schemaOf is the schema of one option's value.
func schemaOf(f *option.Field) object {
	var s object
	switch f.Type {
	case option.TypeBlock:
		return block(f.Fields)
	case option.TypeList:
		s = object{"type": []string{"array", "null"}, "items": schemaOf(f.Elem)}
	case option.TypeMap:
		s = object{"type": []string{"object", "null"}, "additionalProperties": schemaOf(f.Elem)}
	case option.TypeAny:
		return object{}
	default:
		s = object{"anyOf": append(scalarSchema(f), object{"$ref": "#/$defs/reference"})}
	}
	if f.Example != "" && f.Type != option.TypeList && f.Type != option.TypeMap {
		s["examples"] = []string{f.Example}
	}
	if f.Secret {
		s["writeOnly"] = true
	} else if v := defaultValue(f); v != nil {
		s["default"] = v
	}
	return s
}

// The forms of sizes and durations, as package option reads them.
const (
	sizePattern     = `^[0-9]*\.?[0-9]+ *([kKmMgGtT]([iI]?[bB]))?[bB]?$`
	durationPattern = `^([0-9]+d)?(([0-9]*\.)?[0-9]+(ns|us|µs|ms|s|m|h))*$`
)

func scalarSchema(f *option.Field) []any {
	switch f.Type {
	case option.TypeBool:
		return []any{object{"type": "boolean"}}
	case option.TypeInt:
		return []any{limited(f, object{"type": "integer"})}
	case option.TypeFloat:
		return []any{limited(f, object{"type": "number"})}
	case option.TypeDuration:
		return []any{object{"type": "string", "minLength": 2, "pattern": durationPattern}, object{"const": 0}}
	case option.TypeSize:
		return []any{object{"type": "integer", "minimum": 0}, object{"type": "string", "pattern": sizePattern}}
	}
	if len(f.Enum) > 0 {
		return []any{object{"enum": f.Enum}}
	}
	return []any{object{"type": []string{"string", "number"}}}
}

func limited(f *option.Field, s object) object {
	if f.Min != "" {
		s["minimum"] = json.Number(f.Min)
	}
	if f.Max != "" {
		s["maximum"] = json.Number(f.Max)
	}
	return s
}

// defaultValue is a default as JSON; nil if there is none to tell.
func defaultValue(f *option.Field) any {
	switch {
	case f.Default == "":
		return nil
	case f.Type == option.TypeBool:
		return f.Default == "true"
	case f.Type == option.TypeInt, f.Type == option.TypeFloat:
		return json.Number(f.Default)
	case f.Type == option.TypeList:
		return strings.Split(strings.Trim(f.Default, "[]"), ", ")
	}
	return f.Default
}
