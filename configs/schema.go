package configs

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// object is a part of a JSON schema. Its keys come out sorted, so that the same
// program always writes the same bytes.
type object = map[string]any

// Schema is a JSON Schema (draft 2020-12) of the file format with the options of
// all kinds, for editors: made from the same fields that loading uses. Each key is
// documented once; its aliases and its spelling in iLogtail's files point there.
// Loading also takes keys in any other case, and with other underscores.
func Schema(kinds *flushers.Registry) ([]byte, error) {
	root := block("#", option.Fields(defaultFile()))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "flushline configuration"
	defs := object{
		"reference": object{
			"type": "string", "pattern": `\$\{(env|file):[^}]+\}`,
			"description": "A value from the environment or from a file.",
		},
		"flusher": flusherSchema(kinds),
	}
	for i := range kinds.Kinds() {
		k := &kinds.Kinds()[i]
		defs["flusher_"+k.Name] = entrySchema(k)
	}
	root["$defs"] = defs

	properties := root["properties"].(object)
	source := block("#/properties/source", option.Fields(&sourceBlock{}))
	source["minProperties"], source["maxProperties"] = 1, 1
	for _, queue := range option.Fields(&sourceBlock{}) {
		own := source["properties"].(object)[queue.Name].(object)["properties"].(object)
		own["key"] = described(keySchema("#/properties/source/properties/"+queue.Name+"/properties/key"), own["key"])
	}
	properties["source"] = described(source, properties["source"])
	route := block("#/properties/routes/items", option.Fields(defaultRoute()))
	list := route["properties"].(object)
	list["flushers"] = described(object{
		"type": "array", "minItems": 1, "items": object{"$ref": "#/$defs/flusher"},
	}, list["flushers"])
	properties["routes"] = described(object{"type": "array", "minItems": 1, "items": route}, properties["routes"])
	letters := defaultDeadLetter()
	properties["dead_letter"] = described(object{
		"anyOf": []any{block("#/properties/dead_letter/anyOf/0", option.Fields(&letters)), object{"const": "none"}},
	}, properties["dead_letter"])

	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("couldn't write the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// described moves the description of a placeholder to what stands in its place.
func described(s object, placeholder any) object {
	if text, ok := placeholder.(object)["description"]; ok {
		s["description"] = text
	}
	return s
}

// block is the schema of a block of keys; at is the pointer to where it stands.
func block(at string, fields []option.Field) object {
	s := openBlock(at, fields)
	if required := requirements(fields); len(required) > 0 {
		s["allOf"] = required
	}
	return s
}

// openBlock is a block of which nothing is required.
func openBlock(at string, fields []option.Field) object {
	properties := object{}
	for i := range fields {
		f := &fields[i]
		here := at + "/properties/" + f.Name
		s := schemaOf(here, f)
		if f.Hidden { // another program's words: taken, never proposed
			s["doNotSuggest"] = true
		}
		if f.Help != "" {
			s["description"] = f.Help
		}
		properties[f.Name] = s
		for _, other := range otherSpellings(f) {
			properties[other] = object{"$ref": here, "doNotSuggest": true}
		}
	}
	return object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

// otherSpellings are the aliases of a key, and the key as iLogtail would spell it.
func otherSpellings(f *option.Field) []string {
	var camel strings.Builder
	for word := range strings.SplitSeq(f.Name, "_") {
		if word != "" {
			camel.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return append([]string{camel.String()}, f.Aliases...)
}

// requirements say for each required key that one of its spellings is there.
func requirements(fields []option.Field, instead ...string) []any {
	var all []any
	for i := range fields {
		f := &fields[i]
		if !f.Required {
			continue
		}
		var any []any
		for _, name := range slices.Concat([]string{f.Name}, otherSpellings(f), instead) {
			any = append(any, object{"required": []string{name}})
		}
		all = append(all, object{"anyOf": any})
	}
	return all
}

// schemaOf is the schema of one option's value.
func schemaOf(at string, f *option.Field) object {
	var s object
	switch f.Type {
	case option.TypeBlock:
		return block(at, f.Fields)
	case option.TypeList:
		s = object{"type": []string{"array", "null"}, "items": schemaOf(at+"/items", f.Elem)}
	case option.TypeMap:
		s = object{"type": []string{"object", "null"}, "additionalProperties": schemaOf(at+"/additionalProperties", f.Elem)}
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
		values := f.Enum
		if slices.Contains(values, option.None) {
			values = append(slices.Clone(values), "")
		}
		return []any{object{"enum": values}}
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
