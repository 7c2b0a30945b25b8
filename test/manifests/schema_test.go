package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// api has what is special in the description of Kubernetes: a kind, a part that
// refers to itself, numbers that may be texts, an object without fields, and options
// that belong to every group.
const api = `{"definitions": {
	"v1.Ship": {
		"x-kubernetes-group-version-kind": [{"group": "sea.example", "version": "v1", "kind": "Ship"}],
		"type": "object", "required": ["hull"], "description": "floats",
		"properties": {
			"hull": {"$ref": "#/definitions/v1.Hull", "description": "below", "default": {}},
			"crew": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
			"labels": {"type": "object", "additionalProperties": {"type": "string"}},
			"notes": {"type": "object"},
			"port": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"}
		}
	},
	"v1.Hull": {
		"type": "object",
		"properties": {
			"length": {"type": "integer", "format": "int32"},
			"inner": {"type": "array", "items": {"$ref": "#/definitions/v1.Hull"}}
		}
	},
	"v1.Options": {
		"x-kubernetes-group-version-kind": [
			{"group": "sea.example", "version": "v1", "kind": "Options"},
			{"group": "", "version": "v1", "kind": "Options"}
		],
		"type": "object"
	},
	"v1.Dock": {"type": "object", "properties": {"name": {"type": "string"}}},
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"}
}}`

const ship = `{
	"$schema": "http://json-schema.org/draft-07/schema#",
	"allOf": [{"$ref": "#/definitions/v1.Ship"}],
	"definitions": {
		"v1.Ship": {
			"type": "object", "required": ["hull"], "additionalProperties": false,
			"properties": {
				"hull": {"$ref": "#/definitions/v1.Hull"},
				"crew": {"type": "array", "items": {"type": "string"}},
				"labels": {"type": "object", "additionalProperties": {"type": "string"}},
				"notes": {"type": "object"},
				"port": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"}
			}
		},
		"v1.Hull": {
			"type": "object", "additionalProperties": false,
			"properties": {
				"length": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647},
				"inner": {"type": "array", "items": {"$ref": "#/definitions/v1.Hull"}}
			}
		},
		"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]}
	}
}`

func TestAKindsSchemaIsStrictAndStandsAlone(t *testing.T) {
	t.Parallel()
	schemas, err := convert([]byte(api))
	if err != nil {
		t.Fatal(err)
	}
	if len(schemas) != 1 {
		t.Errorf("%d schemas, want that of the ship alone", len(schemas))
	}
	var got, want any
	if err := json.Unmarshal(schemas["ship-sea-v1.json"], &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(ship), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the schema differs (- want, + got):\n%s", diff)
	}
}

// What a later version of Kubernetes may bring is not passed over.
func TestWhatCannotBeTranslatedIsAnError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"what only people read", `"description": "below"`, `"x-kubernetes-list-type": "set"`, ""},
		{"a new word", `"description": "floats"`, `"maxProperties": 3`, `v1.Ship: "maxProperties" is not understood`},
		{"a new format", `"int32"`, `"uint8"`, "v1.Hull: property length: format uint8 is not understood"},
		{"items that are no schema", `"items": {"type": "string"}`, `"items": [1]`, "v1.Ship: property crew: items is no schema"},
		{"a reference into nothing", `{"$ref": "#/definitions/v1.Hull"}`, `{"$ref": "#/definitions/v1.Deck"}`, "it refers to v1.Deck, which is not there"},
		{"two kinds of one name", `"v1.Dock": {`, `"v1.Dock": {"x-kubernetes-group-version-kind": [{"group": "sea.other", "version": "v1", "kind": "Ship"}],`, "has the file ship-sea-v1.json too"},
		{"nothing", api, `{}`, "it describes no kind"},
		{"half of it", api, api[:len(api)/2], "couldn't read it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(api, c.old) {
				t.Fatalf("the description has no %s", c.old)
			}
			_, err := convert([]byte(strings.Replace(api, c.old, c.new, 1)))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}
