package all_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
	"github.com/flushline/flushline/option"
)

func TestEveryKindCanBeRegisteredAndConfigured(t *testing.T) {
	t.Parallel()
	r, err := flushers.NewRegistry(all.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, k := range r.Kinds() {
		names = append(names, k.Name)
		f := k.New()
		if f.Description() != k.Summary {
			t.Errorf("%s: the description %q is not the summary %q", k.Name, f.Description(), k.Summary)
		}
		if err := option.Check(f); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
		for _, field := range option.Fields(f) {
			if field.Help == "" {
				t.Errorf("%s: the option %s has no help", k.Name, field.Name)
			}
		}
		if k.Durability != flushers.Durable || !k.Available() || k.TestedAgainst == "" {
			t.Errorf("%s: %+v is not what a built-in kind of every system promises", k.Name, k)
		}
		if _, ok := f.(flushers.BatchFlusher); !ok && k.Name != "blackhole" {
			t.Errorf("%s has no FlushBatch, so its calls do not end at flush_timeout", k.Name)
		}
	}
	if diff := cmp.Diff([]string{"blackhole", "file", "http", "stdout"}, names); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}
