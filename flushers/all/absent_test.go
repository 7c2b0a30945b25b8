package all

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/blackhole"
)

// What a package with a kind of one system says of itself everywhere.
var (
	here  = flushers.Kind{Name: "journal", Summary: "Writes to the log of this system.", OS: []string{runtime.GOOS}}
	there = flushers.Kind{Name: "eventlog", Summary: "Writes to the log of another.", OS: []string{"plan9", "solaris"}}
)

// joined are the kinds as Kinds joins them, with one of this system and one of
// others.
func joined() []flushers.Kind {
	compiled := here
	compiled.New = blackhole.Kind().New
	return slices.Concat(everywhere(), []flushers.Kind{compiled}, absent([]flushers.Kind{here, there}))
}

func TestAKindOfAnotherSystemIsKnownByNameAlone(t *testing.T) {
	t.Parallel()
	r, err := flushers.NewRegistry(joined()...)
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, k := range r.Kinds() {
		has[k.Name] = k.New != nil
	}
	want := map[string]bool{"blackhole": true, "elasticsearch": true, "eventlog": false, "file": true, "http": true, "journal": true, "kafka": true, "nats": true, "stdout": true}
	if diff := cmp.Diff(want, has); diff != "" {
		t.Error(diff)
	}
	for name, says := range map[string]string{
		"journal":  "",
		"eventlog": "the flusher type eventlog runs on plan9 and solaris only; this is " + runtime.GOOS,
		"eventlgo": `did you mean "eventlog"?`,
	} {
		text := "source: {embedded: {}}\nroutes: [{name: a, flushers: [{type: " + name + "}]}]\n"
		config, report := configs.Parse("f.yaml", []byte(text), r)
		if (config == nil) != (says != "") || !strings.Contains(report.String(), says) {
			t.Errorf("%s: want %q, got:\n%s", name, says, report)
		}
	}
}

// Each system's list and what the others are told of it are two places: they have
// to agree.
func TestTheListsOfTheSystemsAgree(t *testing.T) {
	t.Parallel()
	var compiled, told []string
	for _, k := range system() {
		if len(k.OS) == 0 || k.New == nil {
			t.Errorf("%s is of a single system and does not say which, or has no New", k.Name)
		}
		compiled = append(compiled, k.Name)
	}
	for _, k := range elsewhere() {
		if len(k.OS) == 0 || k.New != nil {
			t.Errorf("%s: what other systems are told of it has a New, or no OS", k.Name)
		}
		if k.Available() {
			told = append(told, k.Name)
		}
	}
	slices.Sort(compiled)
	slices.Sort(told)
	if diff := cmp.Diff(told, compiled); diff != "" {
		t.Errorf("kinds of %s (-elsewhere +system):\n%s", runtime.GOOS, diff)
	}
}
