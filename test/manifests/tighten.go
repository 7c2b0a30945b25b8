package main

import (
	"fmt"
	"math"
	"strings"
)

// tighten turns a piece of the description into a schema that knows its fields and
// no others. A word that is not understood is an error: left out, it would be a
// rule that nothing checks.
func tighten(described node) (node, error) {
	if ref, is := described["$ref"]; is {
		return node{"$ref": ref}, nil // beside it stand descriptions and defaults
	}
	schema := node{}
	for word, value := range described {
		if err := translate(schema, word, value); err != nil {
			return nil, err
		}
	}
	_, named := schema["properties"]
	_, free := schema["additionalProperties"]
	if named && !free {
		schema["additionalProperties"] = false
	}
	return schema, nil
}

func translate(schema node, word string, value any) (err error) {
	switch word {
	case "description", "default":
	case "type", "required", "enum":
		schema[word] = value
	case "properties":
		schema[word], err = eachTightened(value)
	case "items", "additionalProperties":
		inner, is := value.(node)
		if !is {
			return fmt.Errorf("%s is no schema but %v", word, value)
		}
		schema[word], err = tighten(inner)
	case "format":
		return bound(schema, value)
	default:
		if !strings.HasPrefix(word, "x-kubernetes-") {
			return fmt.Errorf("%q is not understood: teach it to translate", word)
		}
	}
	return err
}

func eachTightened(value any) (map[string]node, error) {
	described, is := value.(node)
	if !is {
		return nil, fmt.Errorf("properties are no object but %v", value)
	}
	schemas := make(map[string]node, len(described))
	for name, property := range described {
		inner, is := property.(node)
		if !is {
			return nil, fmt.Errorf("property %s is no schema but %v", name, property)
		}
		var err error
		if schemas[name], err = tighten(inner); err != nil {
			return nil, fmt.Errorf("property %s: %w", name, err)
		}
	}
	return schemas, nil
}

// bound keeps of the formats those that bound a number; the others say how a text
// is read.
func bound(schema node, format any) error {
	switch format {
	case "int32":
		schema["minimum"], schema["maximum"] = math.MinInt32, math.MaxInt32
	case "int64", "double", "byte", "date-time", "int-or-string":
	default:
		return fmt.Errorf("format %v is not understood: teach it to bound", format)
	}
	return nil
}
