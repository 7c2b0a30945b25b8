package blackhole

import (
	_ "embed"

	"github.com/flushline/flushline/flushers"
)

//go:embed example.yaml
var exampleYAML string

//go:embed example.json
var exampleJSON string

func docs() flushers.Docs {
	return flushers.Docs{
		Stored: "Nothing is: the groups are forgotten.",
		Trouble: []flushers.Trouble{
			{When: "delay is longer than flush_timeout", Then: "each Flush is cut off and tried again, for ever"},
		},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}
