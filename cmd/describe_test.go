package cmd

import (
	"bytes"
	"strings"
	"testing"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
)

func testProgram(t *testing.T) (*program, *bytes.Buffer) {
	t.Helper()
	kinds, err := flushers.NewRegistry(all.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	out := new(bytes.Buffer)
	return &program{kinds: kinds, stdout: out, stderr: out, env: func(string) (string, bool) { return "", false }}, out
}

// What describe --yaml prints is pasted below "flushers:" and has to be right as
// it stands: every required option needs an example that works.
func TestTheBlockOfEveryKindCanBePasted(t *testing.T) {
	t.Parallel()
	for _, k := range all.Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			p, out := testProgram(t)
			if err := p.flushersDescribe(k.Name, true, false); err != nil {
				t.Fatal(err)
			}
			block := "      " + strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", "\n      ")
			text := "source: {embedded: {}}\nroutes:\n  - name: all\n    flushers:\n" + block + "\n"
			if _, report := configs.Parse("pasted.yaml", []byte(text), p.kinds); report.Failed() {
				t.Errorf("%s\n%s", report, text)
			}
		})
	}
}

func TestDescribeSaysTypeDefaultAndMeaning(t *testing.T) {
	t.Parallel()
	for _, k := range all.Kinds() {
		p, out := testProgram(t)
		if err := p.flushersDescribe(k.Name, false, false); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{k.Summary, "nil means " + k.Durability.String(), "flush_timeout  (duration; default 20s"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("describe %s lacks %q", k.Name, want)
			}
		}
	}
}
