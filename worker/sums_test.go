package worker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

func TestSumsOutliveStrands(t *testing.T) {
	t.Parallel()
	var s sums
	say := func(name, incarnation string, again int64, passed map[string]int64) {
		s.note(&queue.Info{Name: name, Incarnation: incarnation}, &queue.Status{Redelivered: again, PassedOver: passed})
	}
	say("logs[0]", "1", 0, nil)
	say("logs[0]", "1", 5, map[string]int64{"expired": 10})
	say("logs[1]", "1", 1, nil)
	say("logs[0]", "1", 6, map[string]int64{"expired": 9})  // it had guessed too high
	say("logs[0]", "2", 1, map[string]int64{"expired": 12}) // one count begins anew, the other goes on
	say("logs[0]", "2", 3, map[string]int64{"expired": 12, "aborted": 2})
	want := map[string]int64{redelivered: 6 + 3 + 1, "expired": 12, "aborted": 2}
	if diff := cmp.Diff(want, s.total()); diff != "" {
		t.Error(diff)
	}
}
