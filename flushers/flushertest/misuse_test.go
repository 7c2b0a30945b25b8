package flushertest_test

import (
	"strings"
	"testing"

	"github.com/flushline/flushline/flushers/flushertest"
)

// misuse is a Harness that proves less than it seems to, and what Run says of it.
type misuse struct {
	name    string
	harness flushertest.Harness
	says    string
}

func misuses() []misuse {
	less := func(change func(*flushertest.Target)) flushertest.Harness {
		return flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
			to := start(nil)(tb)
			change(&to)
			return to
		}}
	}
	return []misuse{
		{"no Start", flushertest.Harness{}, "Harness.Start is missing"},
		{"no Stored", less(func(to *flushertest.Target) { to.Stored = nil }), "Target.Stored is missing"},
		{"no Break", less(func(to *flushertest.Target) { to.Break = nil }), "Target.Break and Target.Heal are missing"},
		{"wrong options", less(func(to *flushertest.Target) { to.Options = map[string]any{"uri": "x"} }), "Target.Options are refused: uri"},
		{"a property that is none", flushertest.Harness{Start: start(nil), Except: map[string]string{"nil means": "x"}}, `names "nil means", which is no property`},
	}
}

func TestAHarnessThatProvesLessIsRefused(t *testing.T) {
	t.Parallel()
	for _, m := range misuses() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			output := prove(t, &cheat{name: m.name, property: "nil is never said while nothing can be stored"})
			if !strings.Contains(output, "--- FAIL: TestCheat") || !strings.Contains(output, m.says) {
				t.Errorf("the suite does not say %q:\n%s", m.says, output)
			}
		})
	}
}
