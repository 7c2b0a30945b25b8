package destinations

import (
	"strings"
	"testing"
)

// topicName is a test's own name for a topic, a stream or an index.
func topicName(tb testing.TB) string {
	return strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(tb.Name()))
}
