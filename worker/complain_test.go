package worker_test

import (
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// A destination that is down is one line a minute, whatever the number of lanes.
func TestADestinationThatIsDownComplainsOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const lanes, minutes = 40, 5
		core, logs := observer.New(zapcore.WarnLevel)
		s := checker.New()
		mend := s.Fail(errDown)
		r := start(t, memory.Config{}, worker.Config{
			Logger: zap.New(core),
			Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("es", s))},
		})
		r.publish(lanes, lanes)
		time.Sleep(minutes*time.Minute - time.Second)
		lines := logs.FilterMessage("the flusher fails; its parts wait").All()
		if len(lines) != minutes {
			t.Fatalf("%d lines in %d minutes", len(lines), minutes)
		}
		for i, line := range lines {
			want := int64(lanes)
			if i == 0 {
				want = 1 // the first one does not wait for the others
			}
			if got := line.ContextMap()["lanes"]; got != want {
				t.Errorf("line %d counts %v lanes, want %d", i, got, want)
			}
		}
		mend()
		r.acked(lanes)
		r.mustStop()
	})
}
