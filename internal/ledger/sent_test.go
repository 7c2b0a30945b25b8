package ledger

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
)

func TestALogIsFoundAgainByItsID(t *testing.T) {
	t.Parallel()
	load := Load{Run: "r", Keys: Keys(3, "p"), Logs: 3, Start: time.Unix(1_000_000_000, 0)}
	const n = 5 // a group of three logs
	sent := load.group(n)
	for i, want := range sent.Logs {
		text := contentOf(want, FieldID)
		id, g, log, ok := load.Sent(text)
		if !ok || id != (ID{Group: n, Log: i}) || g.Logs[i] != log {
			t.Fatalf("%s gives %v, %t", text, id, ok)
		}
		if diff := cmp.Diff(want.Contents, log.Contents); diff != "" || want.Time != log.Time {
			t.Errorf("%s is another log (-sent +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{"r-5-3", "other-5-1", "r-5", "", "r-5-x"} {
		if id, _, _, ok := load.Sent(text); ok {
			t.Errorf("%q is taken for the log %v", text, id)
		}
	}
}

func contentOf(l *protocol.Log, key string) string {
	for _, c := range l.Contents {
		if c.Key == key {
			return c.Value
		}
	}
	return ""
}
