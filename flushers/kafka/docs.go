package kafka

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
		Stored: "All replicas in sync have the record (acks=all); the topic's min.insync.replicas says how many these are at least.",
		Trouble: []flushers.Trouble{
			{When: "a partition has no leader, another leader, or too few replicas in sync", Then: "tried again after 200 ms or 1 s, for the groups that go there; the others are stored"},
			{When: "no broker answers", Then: "tried again; the lanes to that cluster are unready for a second"},
			{When: "a leader does not answer within timeout, or the connection is cut", Then: "tried again; it may have been stored and comes twice then. Records without key go to other leaders meanwhile"},
			{When: "a quota throttles us", Then: "stored; the lanes to that cluster are unready as long as it asks, 30 s at most"},
			{When: "the topic does not exist, the user may not write it, a password or a certificate is refused", Then: "the lane waits until somebody mends it; nothing is dead-lettered. A topic that was there is waited for during 5 s before"},
			{When: "a batch is larger than max.message.bytes", Then: "halved; a record that is too large alone is a dead letter"},
			{When: "a record is refused as invalid", Then: "a dead letter; for a compacted topic, which wants a key, the lane waits"},
			{When: "a field that topic needs is missing", Then: "a dead letter, unless missing_field says what stands for it"},
		},
		ILogtail: []string{
			"Nil means stored: every record is confirmed by all replicas in sync, where iLogtail's flushers return before anything is sent.",
			"`Headers` is a block of names and values instead of a list.",
			"The values of a key stand in the order of `HashKeys`, joined by ### as there, and the same fields give the same key always.",
			formats.FromILogtail,
		},
		ExampleYAML: exampleYAML, ExampleJSON: exampleJSON,
	}
}
