package cmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/worker"
)

func TestStatusShowsSuspectsAndWhatComesNext(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := &worker.Status{
		Now: now, Started: now,
		Lanes: []worker.LaneStatus{{
			Route: "shop", Flusher: "es", Project: "shop", Logstore: "app", Config: "c", State: worker.LaneFlushing, Since: now, Doubtful: 3,
			Suspects: []worker.SuspectStatus{
				{Phase: worker.SuspectHalving, Groups: 8, Attempt: 5, Failed: "500\nno", Next: "halves of it are tried"},
				{Phase: worker.SuspectAlone, Groups: 1, Attempt: 9, Failed: "500", Next: "a dead letter"},
			},
		}},
	}
	var b bytes.Buffer
	if err := printStatus(&b, s, scope{}); err != nil {
		t.Fatal(err)
	}
	want := `
SUSPECTS  KEY         PHASE    GROUPS  ATTEMPT  NEXT                    FAILED
shop/es   shop/app/c  halving  8       5        halves of it are tried  500 no
shop/es   shop/app/c  alone    1       9        a dead letter           500
shop/es   shop/app/c  and 1 more
`
	if !strings.Contains(b.String(), want) {
		t.Errorf("%s", cmp.Diff(want, b.String()))
	}
}
