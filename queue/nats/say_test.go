package nats

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/queue"
)

// A change of state is one line, which gives a reason if there is one.
func TestAChangeOfStateIsOneLine(t *testing.T) {
	t.Parallel()
	core, told := observer.New(zap.InfoLevel)
	s := &strand{log: zap.New(core)}
	s.numbers.Store(&numbers{state: queue.StateJoining})
	s.say(queue.StateConsuming, "")
	s.say(queue.StateConsuming, "")
	s.say(queue.StateMissing, "somebody deleted it")
	var got []map[string]any
	for _, line := range told.All() {
		fields := line.ContextMap()
		fields["line"] = line.Message
		got = append(got, fields)
	}
	want := []map[string]any{
		{"line": "strand is now consuming", "before": "joining"},
		{"line": "strand is now missing", "before": "consuming", "why": "somebody deleted it"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
