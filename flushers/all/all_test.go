package all_test

import (
	"regexp"
	"runtime"
	"strings"
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
		if k.New == nil {
			continue
		}
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
		if k.Docs.Stored == "" || k.Docs.ExampleYAML == "" || k.Docs.ExampleJSON == "" || len(k.Docs.Trouble) == 0 {
			t.Errorf("%s does not say what it takes for stored, what happens in trouble, or has no example", k.Name)
		}
		if _, ok := f.(flushers.Located); !ok {
			t.Errorf("%s does not say where the data of a key goes", k.Name)
		}
		if _, ok := f.(flushers.BatchFlusher); !ok && k.Name != "blackhole" {
			t.Errorf("%s has no FlushBatch, so its calls do not end at flush_timeout", k.Name)
		}
	}
	if diff := cmp.Diff([]string{"blackhole", "elasticsearch", "file", "http", "kafka", "nats", "stdout"}, names); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}

// TestExamplesLoad: both forms say the same, nothing in them is warned about, and
// no option is left out.
func TestExamplesLoad(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	for _, k := range all.Kinds() {
		if k.New == nil {
			continue // its own system loads its examples
		}
		for form, text := range map[string]string{"yaml": k.Docs.ExampleYAML, "json": k.Docs.ExampleJSON} {
			config, said := load(t, "example."+form, text)
			if config == nil || len(said) > 0 {
				t.Errorf("%s/example.%s: %s", k.Name, form, strings.Join(said, "\n"))
				continue
			}
			if used := config.Routes[0].Flushers[0].Kind.Name; used != k.Name {
				t.Errorf("%s/example.%s is one of %s", k.Name, form, used)
			}
			if err := schema.Validate(document(t, text)); err != nil {
				t.Errorf("%s/example.%s: %v", k.Name, form, err)
			}
		}
		if diff := cmp.Diff(document(t, k.Docs.ExampleYAML), document(t, k.Docs.ExampleJSON)); diff != "" {
			t.Errorf("%s: the examples differ (-yaml +json):\n%s", k.Name, diff)
		}
		for _, name := range leaves(option.Fields(k.New())) {
			if !regexp.MustCompile(`(?m)^ *(# |- )?` + name + `:( |$)`).MatchString(k.Docs.ExampleYAML) {
				t.Errorf("%s/example.yaml does not show the option %s", k.Name, name)
			}
		}
	}
}

// leaves are the names of the options, in blocks too.
func leaves(fields []option.Field) (names []string) {
	for _, f := range fields {
		if !f.Hidden {
			names = append(append(names, f.Name), leaves(f.Fields)...)
		}
	}
	return names
}

func TestOnlyAKindOfAnotherSystemMayLackItsConstructor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		os   []string
		want bool
	}{{nil, false}, {[]string{runtime.GOOS}, false}, {[]string{"plan9", runtime.GOOS}, false}, {[]string{"plan9"}, true}} {
		_, err := flushers.NewRegistry(flushers.Kind{Name: "x", Summary: "Is not here.", OS: c.os})
		if (err == nil) != c.want {
			t.Errorf("on %v: %v", c.os, err)
		}
	}
	if _, err := flushers.NewRegistry(append(all.Kinds(), flushers.Kind{Name: "file", Summary: "Twice.", OS: []string{"plan9"}})...); err == nil {
		t.Error("a kind that is compiled in may be absent as well")
	}
}
