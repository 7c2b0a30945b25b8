package nats

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
		Stored: "The stream acknowledged each message: its leader, and with replicas a majority, has written it. " +
			"What comes twice is stored once within the stream's duplicate_window, two minutes unless it says otherwise; make it at least as long as an outage that should leave no duplicates. " +
			"Init, and so check --connect, warns of a stream with less than two minutes, in memory, or with persist_mode async. " +
			"A server of which there is only one syncs to the disk every two minutes, and loses with its power what it acknowledged since.",
		Trouble: []flushers.Trouble{
			{When: "no stream listens to the subject", Then: "the lane waits until somebody mends it; the error has the command"},
			{When: "the stream has no leader, or is at its limits with discard new, or its disk is full", Then: "tried again after 1 s or 5 s, never blamed on the data"},
			{When: "another stream than stream listens there, it is sealed, or acknowledges nothing", Then: "the lane waits until somebody mends it"},
			{When: "the right to publish is missing", Then: "as above; the server says so beside the acknowledgements, and the Flush ends at once"},
			{When: "credentials that are refused, a certificate that is not trusted", Then: "as above, also when that happens to a connection which was up"},
			{When: "larger than max_payload of the server or max_msg_size of the stream, with headers", Then: "a dead letter; compression may help"},
			{When: "no connection, or it is lost", Then: "unready until it is back; what was sent and not acknowledged is sent again, and stored once within the window"},
			{When: "no acknowledgement within timeout", Then: "tried again, as above"},
			{When: "a part of a batch fails", Then: "only those groups are tried again; later groups may have overtaken them"},
		},
		ILogtail:    []string{"iLogtail has no flusher for NATS: nothing is to be migrated."},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}
