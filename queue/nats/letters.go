package nats

import (
	"strings"

	"github.com/flushline/flushline/queue"
)

// unrouted is the subject of letters that never had a lane.
const unrouted = "unrouted"

// DeadLetterStream names the dead letter companion of a consumer.
func DeadLetterStream(one Consumer) string { return lettersKind.stream(one) }

// AsPut makes a message that was read from a dead letter stream again what its Sink was
// given: Subject is the lane or empty, and the headers of the put itself are gone.
func AsPut(stream string, m *queue.Message) {
	m.Headers = withoutServers(m.Headers)
	suffix := strings.TrimPrefix(m.Subject, stream+".")
	if lane, err := queue.ParseLane(suffix); err == nil && lane.String() == suffix {
		m.Subject = suffix
		return
	}
	m.Subject = ""
	if lane, ok := laneOf(m); ok && suffix != unrouted { // a lane that is no legal subject, or too long a one
		m.Subject = lane.String()
	}
}
