package wire

import (
	"encoding/hex"

	"github.com/flushline/flushline/queue"
)

// Seed is what the origins of a topic's messages derive from: the cluster, the topic and
// its id. With the id a topic that was deleted and made anew gives other origins at the
// same positions, also where producers set the timestamps and set the same ones. Zero:
// brokers before 2.8 know no ids; then only the timestamps differ.
func Seed(cluster, topic string, id [16]byte) *queue.OriginSeed {
	source := cluster
	if id != ([16]byte{}) {
		source += "/" + hex.EncodeToString(id[:])
	}
	seed := queue.NewOriginSeed(source, topic)
	return &seed
}
