package stdout

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
		Stored: "Written to the standard output. What happens to the bytes behind the pipe is not known.",
		Trouble: []flushers.Trouble{
			{When: "nobody reads the pipe", Then: "the write waits; after a second no lane is ready until it is over"},
			{When: "the write fails", Then: "it is tried again; lines that were written come twice"},
		},
		ILogtail: []string{
			"Each log is one line in the shape of custom_single, with its tags; nothing is written to files or to the program's own log.",
		},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}
