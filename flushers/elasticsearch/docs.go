package elasticsearch

import (
	_ "embed"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
)

//go:embed example.yaml
var exampleYAML string

//go:embed example.json
var exampleJSON string

func docs() flushers.Docs {
	return flushers.Docs{
		Stored: "The server answered for each log that its document was created (201), written (200) or, by its id, there already (409). " +
			"It has synced it by then, unless the index has `index.translog.durability: async`. " +
			"The id is that of the log for ever, so a repeated log finds its document as long as it goes to the same index: one whose name follows from the log, such as its date. " +
			"A data stream that was rolled over between the two attempts, and an index that was deleted or whose alias was moved, take it once more.",
		Trouble: []flushers.Trouble{
			{When: "429, 502, 503, 504, for a request or for single logs: queue full, breaker, pressure, a disk above its flood stage, shards that are away", Then: "what was not stored is tried again, later each time (half a second to half a minute), or after Retry-After"},
			{When: "413, or a breaker that refuses a request alone", Then: "the request is cut between two logs, and later ones are kept as small for ten minutes; the group of a log that is too large alone is a dead letter"},
			{When: "400 for a log: a mapping that it does not fit, too many fields", Then: "its group is a dead letter; its other logs may be stored, and are not stored twice when it is replayed"},
			{When: "a field whose name is the beginning of another's, such as host beside host.name", Then: "as a mapping that does not fit: the servers read host.name as an object host. Rename one (tag_names); `host.ip` and `log.topic` are called `host_ip` and `log_topic` unless tag_names says otherwise"},
			{When: "400 for a log that any log would get: no @timestamp or operation index for a data stream, an unknown pipeline, a name that no index can have, too many shards", Then: "the lane waits until somebody mends it; nothing is dead-lettered"},
			{When: "401, 403 (a missing right, an index that is blocked), 404 (an index that may not be made), 405, 406, 3xx", Then: "the lane waits until somebody mends it; nothing is dead-lettered"},
			{When: "400 for the whole request, 500", Then: "tried again: it is about no single log"},
			{When: "200 with items missing, or anything that is no answer to a bulk request", Then: "not believed, and tried again"},
			{When: "a certificate that is not trusted, or no TLS", Then: "the next address; if there is none, the lane waits until somebody mends it"},
			{When: "no connection", Then: "the next address; that one is left out for a second, and the lanes are unready while all are"},
			{When: "no answer within timeout, or a connection that is cut", Then: "tried again, at the next address; what was stored is not stored twice"},
			{When: "a log has no tag or content that index names, and there is no missing_field", Then: "its group is a dead letter"},
			{When: "max_names indices are in use", Then: "the lane waits until one has not been used for an hour; nothing is dead-lettered"},
		},
		ILogtail: []string{
			"Documents have `@timestamp` in RFC 3339 and fields side by side (`shape: custom_single_flatten`); with `Convert: {Protocol: custom_single}` they are contents, tags and time, as there.",
			formats.FromILogtail,
			"`%{+yyyy.MM.dd}` is the date of the log, not of the flush: a replay finds its index again.",
			"`Authentication` is understood: `PlainText`, which may be empty, and `TLS`.",
			"Documents are created, with an id, where iLogtail indexes without one; errors of single logs are seen.",
		},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}
