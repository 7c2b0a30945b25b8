package queue_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
)

func TestALaneIsFiveTokensOfASubject(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9_-]{1,48}`)
		text := rapid.StringN(1, 30, 100).Filter(func(s string) bool { return s != "" })
		l := queue.Lane{
			Route: name.Draw(t, "route"), Flusher: name.Draw(t, "flusher"),
			Project: text.Draw(t, "project"), Logstore: text.Draw(t, "logstore"), Config: text.Draw(t, "config"),
		}
		s := l.String()
		if strings.ContainsAny(s, " *>\t\r\n/") || strings.Count(s, ".") != 4 {
			t.Fatalf("%q is not five tokens", s)
		}
		if back, err := queue.ParseLane(s); err != nil || back != l {
			t.Fatalf("%q reads as %+v (%v), want %+v", s, back, err, l)
		}
	})
}

func TestWhatIsNoLaneIsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "a.b.c.d", "a.b.c.d.e.f", "a.b..d.e", "a.b.%zz.d.e"} {
		if l, err := queue.ParseLane(s); err == nil {
			t.Errorf("%q reads as %+v", s, l)
		}
	}
}
