package http

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
		Stored: "The server answered 2xx.",
		Trouble: []flushers.Trouble{
			{When: "408, 429, 5xx", Then: "tried again, after Retry-After if it is there; until then the lane is unready"},
			{When: "413", Then: "the batch is halved; a group that is too large alone is a dead letter"},
			{When: "401, 403, 404, 407", Then: "the lane waits until somebody mends it; nothing is dead-lettered"},
			{When: "3xx", Then: "followed to the same origin if it stays a POST, else as 401"},
			{When: "400 on a connection that the server closes", Then: "tried again, as the request may have been cut on its way; as any other 4xx when it is said three times of one body, each time after a body as large was taken or 10 s"},
			{When: "any other 400", Then: "asked once more, on a connection of its own, as not every server says that it closes; then as any other 4xx"},
			{When: "any other 4xx", Then: "a dead letter, with the first KiB of the answer; of several groups those to blame are found by halving"},
			{When: "a certificate that is not trusted, or no TLS", Then: "as 401"},
			{When: "no connection", Then: "tried again; the lanes to that host are unready for a second"},
			{When: "no answer within timeout, or a connection that is cut", Then: "tried again; it may have been stored and comes twice then"},
		},
		ILogtail: []string{
			"A request carries all logs of a batch as JSON lines, where iLogtail posts each log alone: the server has to take application/x-ndjson, whatever Protocol says.",
			"Nothing is given up after some retries, and no status is taken for success but 2xx.",
		},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}
