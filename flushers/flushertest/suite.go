package flushertest

import (
	"slices"
	"testing"

	"github.com/flushline/flushline/flushers"
)

// Run proves the kind, each property in a subtest of its own, one after the other.
// A property that needs something the Target does not have is logged with what it
// needs, as are those that the Harness excepts.
func Run(t *testing.T, kind flushers.Kind, h Harness) {
	t.Helper()
	if task := taskOfProcess(); task != nil {
		if task.Test == t.Name() && task.Kind == kind.Name {
			task.play(t, kind)
		}
		return // another test's child
	}
	for name := range h.Except {
		if !slices.Contains(Properties(), name) {
			t.Errorf("Harness.Except names %q, which is no property: they are %q", name, Properties())
		}
	}
	for _, p := range properties {
		if why := h.Except[p.name]; why != "" {
			t.Logf("%s: excepted: %s", p.name, why)
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			b := newBench(t, kind, &h)
			if p.needs != nil {
				if what := p.needs(b); what != "" {
					t.Logf("nothing to show: %s", what)
					return
				}
			}
			p.prove(b)
		})
	}
}

// Properties are the names of what Run proves, in its order.
func Properties() []string {
	out := make([]string, len(properties))
	for i := range properties {
		out[i] = properties[i].name
	}
	return out
}

// property is one thing that a kind promises.
type property struct {
	name  string
	needs func(*bench) string // says what is missing; nil: nothing can be
	prove func(*bench)
}
