package cmd

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
	"github.com/flushline/flushline/flushers/checker"
)

func testProgram(t *testing.T, extra ...flushers.Kind) (*program, *bytes.Buffer) {
	t.Helper()
	kinds, err := flushers.NewRegistry(append(all.Kinds(), extra...)...)
	if err != nil {
		t.Fatal(err)
	}
	out := new(bytes.Buffer)
	return &program{kinds: kinds, stdout: out, stderr: out, env: func(string) (string, bool) { return "", false }}, out
}

// described is what `flushers describe` prints of each kind that can be used here,
// and of one that says nothing of itself beyond its options.
func described(t *testing.T, asYAML, asJSON bool, look func(p *program, k *flushers.Kind, text string)) {
	t.Helper()
	p, out := testProgram(t, checker.New().Kind())
	for i := range p.kinds.Kinds() {
		k := &p.kinds.Kinds()[i]
		if k.New == nil {
			continue
		}
		out.Reset()
		if err := p.flushersDescribe(k.Name, asYAML, asJSON); err != nil {
			t.Fatal(err)
		}
		look(p, k, out.String())
	}
}

func TestTheExampleOfEveryKindLoads(t *testing.T) {
	t.Parallel()
	described(t, true, false, func(p *program, k *flushers.Kind, text string) {
		config, report := configs.Parse("example.yaml", []byte(text), p.kinds)
		if len(report.Problems) > 0 || config.Routes[0].Flushers[0].Kind.Name != k.Name {
			t.Errorf("%s:\n%s\n%s", k.Name, report, text)
		}
		if k.Docs.ExampleYAML != "" && text != k.Docs.ExampleYAML {
			t.Errorf("%s: describe --yaml is not its example:\n%s", k.Name, text)
		}
	})
}

// The shortest entry, and one with all options, are pasted below "flushers:" and
// have to be right as they stand: every required option needs an example that works.
func TestTheEntryOfEveryKindCanBePasted(t *testing.T) {
	t.Parallel()
	p, _ := testProgram(t, checker.New().Kind())
	for i := range p.kinds.Kinds() {
		k := &p.kinds.Kinds()[i]
		if k.New == nil {
			continue
		}
		for _, complete := range []bool{false, true} {
			entry := entryYAML(k, complete)
			text := "source: {embedded: {}}\nroutes:\n  - name: all\n    flushers:\n" + indented("      ", entry)
			if _, report := configs.Parse("pasted.yaml", []byte(text), p.kinds); len(report.Problems) > 0 {
				t.Errorf("%s\n%s", report, text)
			}
			bare := strings.ReplaceAll(text, "# ", "")
			if complete && strings.Count(bare, "\n") == strings.Count(entryYAML(k, false), "\n") {
				t.Errorf("%s: no option is shown:\n%s", k.Name, text)
			}
		}
	}
}

func TestDescribeSaysWhatAKindDoes(t *testing.T) {
	t.Parallel()
	described(t, false, false, func(_ *program, k *flushers.Kind, text string) {
		wants := []string{k.Summary, "nil means " + k.Durability.String(), "flush_timeout  (duration; default 20s"}
		for _, trouble := range k.Docs.Trouble {
			wants = append(wants, trouble.When+": "+trouble.Then)
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("describe %s lacks %q", k.Name, want)
			}
		}
	})
}

func TestDescribeAsJSONHoldsTheExample(t *testing.T) {
	t.Parallel()
	described(t, false, true, func(p *program, k *flushers.Kind, text string) {
		var v kindView
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if v.Name != k.Name || !v.Available || len(v.Trouble) != len(k.Docs.Trouble) {
			t.Errorf("%+v", v)
		}
		if k.Docs.ExampleJSON == "" {
			return
		}
		if _, report := configs.Parse("example.json", v.Example, p.kinds); len(report.Problems) > 0 {
			t.Errorf("%s: %s", k.Name, report)
		}
	})
}

func TestAKindOfAnotherSystemIsListedAndNotDescribed(t *testing.T) {
	t.Parallel()
	p, out := testProgram(t, flushers.Kind{Name: "journal", Summary: "Writes to another system's log.", OS: []string{"plan9"}})
	err := p.flushersDescribe("journal", false, false)
	if err == nil || !strings.Contains(err.Error(), "journal runs on plan9 only; this is ") {
		t.Errorf("describe says %v", err)
	}
	if err := p.flushersLs(false); err != nil || !strings.Contains(out.String(), "(only on plan9) Writes to another system's log.") {
		t.Errorf("ls says %v\n%s", err, out)
	}
	pages, kept := p.pages()
	if len(kept) != 1 || kept[0] != "journal.md" {
		t.Errorf("the pages made elsewhere are %v", kept)
	}
	if index := string(pages[len(pages)-1].text); !strings.Contains(index, "[journal](journal.md)") {
		t.Errorf("the index lacks the kind:\n%s", index)
	}
}

// TestThePagesAreCurrent fails when an option or text of a kind was changed without
// `make docs`.
func TestThePagesAreCurrent(t *testing.T) {
	t.Parallel()
	p, _ := testProgram(t)
	if err := p.flushersDocs("../docs/flushers", true); err != nil {
		t.Error(err)
	}
}
