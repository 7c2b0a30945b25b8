package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// node is a piece of the description, or of a schema.
type node = map[string]any

const definitions = "#/definitions/"

// convert makes a schema for each kind in the description of an API, by the name of
// its file: kind, first label of the group, version, as kubeconform's
// {{.ResourceKind}}{{.KindSuffix}} has it.
func convert(api []byte) (map[string][]byte, error) {
	var described struct {
		Definitions map[string]node `json:"definitions"`
	}
	if err := json.Unmarshal(api, &described); err != nil {
		return nil, fmt.Errorf("couldn't read it: %w", err)
	}
	strict := make(map[string]node, len(described.Definitions))
	for name, definition := range described.Definitions {
		converted, err := tighten(definition)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		strict[name] = converted
	}
	// In the description these are strings; in a manifest they may be numbers too.
	strict["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = node{"type": []string{"integer", "string"}}
	strict["io.k8s.apimachinery.pkg.api.resource.Quantity"] = node{"type": []string{"number", "string"}}

	files := make(map[string][]byte)
	for name, definition := range described.Definitions {
		file, err := fileName(definition)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if file == "" {
			continue
		}
		if files[file] != nil {
			return nil, fmt.Errorf("%s: another kind has the file %s too", name, file)
		}
		if files[file], err = alone(name, strict); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(files) == 0 {
		return nil, errors.New("it describes no kind")
	}
	return files, nil
}

// fileName is empty for what is no kind of object: parts of one, and the options
// and events that come with every group.
func fileName(definition node) (string, error) {
	stamped, is := definition["x-kubernetes-group-version-kind"]
	if !is {
		return "", nil
	}
	raw, err := json.Marshal(stamped)
	if err != nil {
		return "", err
	}
	var kinds []struct{ Group, Version, Kind string }
	if err := json.Unmarshal(raw, &kinds); err != nil {
		return "", fmt.Errorf("couldn't read which kind it is: %w", err)
	}
	if len(kinds) != 1 {
		return "", nil
	}
	kind := kinds[0]
	label, _, _ := strings.Cut(kind.Group, ".")
	if label != "" {
		label = "-" + label
	}
	return strings.ToLower(kind.Kind+label+"-"+kind.Version) + ".json", nil
}

// alone is a definition with all that it refers to and nothing else.
func alone(name string, strict map[string]node) ([]byte, error) {
	reached := map[string]node{}
	var reach func(name string) error
	reach = func(name string) error {
		if reached[name] != nil {
			return nil
		}
		definition := strict[name]
		if definition == nil {
			return fmt.Errorf("it refers to %s, which is not there", name)
		}
		reached[name] = definition
		for _, ref := range references(definition) {
			if err := reach(strings.TrimPrefix(ref, definitions)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := reach(name); err != nil {
		return nil, err
	}
	return json.Marshal(node{
		"$schema":     "http://json-schema.org/draft-07/schema#", // a name: validators have it built in
		"allOf":       []node{{"$ref": definitions + name}},
		"definitions": reached,
	})
}

// references are those of a tightened definition, in an order that stays.
func references(schema node) []string {
	var all []string
	if ref, is := schema["$ref"].(string); is {
		all = append(all, ref)
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, is := schema[key].(node); is {
			all = append(all, references(inner)...)
		}
	}
	properties, _ := schema["properties"].(map[string]node)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		all = append(all, references(properties[name])...)
	}
	return all
}
