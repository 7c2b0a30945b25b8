package worker

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
)

// A guard holds back what comes behind so many dead letters in a row, says so once, and
// lets go when it is told to. The model looks at everything that ever happened.
func TestTheGuard(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		const delivered, doomed, resumed = 'd', 'x', 'r'
		var g guard
		most := rapid.IntRange(1, 6).Draw(t, "most")
		past := ""
		// stopped reads the past: since the last resume there were more than most
		// dead letters with nothing delivered between.
		stopped := func() bool {
			row := 0
			for i := range past {
				switch past[i] {
				case resumed:
					row = 0
				case doomed:
					row++
				case delivered:
					if row <= most { // what is delivered later does not start it again
						row = 0
					}
				}
			}
			return row > most
		}
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"dead letter": func(t *rapid.T) {
				before := stopped()
				past += string(doomed)
				hold, first := g.another(most, "400")
				if hold != stopped() || first != (!before && stopped()) {
					t.Fatalf("after %q with at most %d in a row: held back %v, stops now %v", past, most, hold, first)
				}
			},
			"another dead letter": func(*rapid.T) {
				past += string(doomed)
				g.another(most, "413")
			},
			"delivered": func(*rapid.T) {
				past += string(delivered)
				g.delivered()
			},
			"resume": func(t *rapid.T) {
				before := stopped()
				past += string(resumed)
				if g.resume() != before {
					t.Fatalf("after %q resume says that it had stopped: %v", past, !before)
				}
			},
			"": func(t *rapid.T) {
				if _, is := g.status("lane", "l"); is != stopped() {
					t.Fatalf("after %q with at most %d in a row it is stopped: %v", past, most, is)
				}
			},
		}))
	})
}
