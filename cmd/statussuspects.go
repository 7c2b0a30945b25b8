package cmd

import (
	"fmt"

	"github.com/flushline/flushline/worker"
)

// suspectTable lists batches whose data may be to blame for their failures, and what
// happens to them next.
func suspectTable(t *table, s *worker.Status) {
	headed := false
	for i := range s.Lanes {
		l := &s.Lanes[i]
		for _, b := range l.Suspects {
			if !headed {
				headed = true
				t.head("SUSPECTS", "KEY", "PHASE", "GROUPS", "ATTEMPT", "NEXT", "FAILED")
			}
			t.row(printable(l.Route+"/"+l.Flusher), printable(l.Project+"/"+l.Logstore+"/"+l.Config), b.Phase,
				fmt.Sprint(b.Groups), fmt.Sprint(b.Attempt), printable(b.Next), printable(b.Failed))
		}
		if more := l.Doubtful - len(l.Suspects); more > 0 {
			t.row(printable(l.Route+"/"+l.Flusher), printable(l.Project+"/"+l.Logstore+"/"+l.Config), fmt.Sprintf("and %d more", more))
		}
	}
}
