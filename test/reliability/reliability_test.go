package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flushline/flushline/internal/proof"
)

func sample(failed bool) *proof.Run {
	r := proof.Begin("kills-random", "Workers are killed at random moments.", "make kills")
	r.Fault("kill -9", 1000)
	r.AtMost("lost", 0, 0, "logs")
	r.AtLeast("kills", 1000, 1000, "")
	r.Value("duplicates", 12345.6789, "logs")
	r.Note("They were spread over two queues.")
	r.Failed = failed
	return r
}

func TestThePageSaysWhatTheRunsSay(t *testing.T) {
	b, err := page([]*proof.Run{sample(false)})
	if err != nil {
		t.Fatal(err)
	}
	got := string(b)
	for _, want := range []string{
		"### kills-random\n\nWorkers are killed at random moments.\n\n`make kills` at ",
		"Faults: kill -9 1,000.\n",
		"| lost | 0 logs | at most 0 logs | kept |\n| kills | 1,000 | at least 1,000 | kept |\n| duplicates | 12,345.678 logs |  |  |\n",
		"They were spread over two queues.\n",
		"1,000 faults were seen to happen",
		"[kills-random](#kills-random)",
		"not kept here yet: clean-restarts, clock, crash",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if strings.Contains(got, "This run failed") || strings.Contains(got, "not kept**") {
		t.Error("a run that did not fail is shown as one that did")
	}
}

func TestAFailureIsShown(t *testing.T) {
	r := sample(true)
	r.AtMost("recovery p99", 3.5, 3, "s")
	b, err := page([]*proof.Run{r})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"**This run failed.**", "| recovery p99 | 3.5 s | at most 3 s | **not kept** |"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	var out strings.Builder
	if err := summarise(&out, []*proof.Run{r}); err == nil || !strings.Contains(err.Error(), "kills-random") {
		t.Errorf("the summary ended with %v", err)
	}
	if !strings.Contains(out.String(), "kills-random FAILED") || !strings.Contains(out.String(), "1,000 faults happened in 1 runs") {
		t.Errorf("the summary is\n%s", out.String())
	}
}

func TestNoRunIsNoProof(t *testing.T) {
	if err := run(&strings.Builder{}, []string{"summary", t.TempDir()}); err == nil {
		t.Error("a summary of nothing ended well")
	}
}

func TestRunsAreTakenOverAndThePageIsHeldToThem(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(proof.DirEnv, "from")
	if err := os.Mkdir("docs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := sample(false).Keep(false); err != nil {
		t.Fatal(err)
	}
	do := func(args ...string) error { return run(&strings.Builder{}, args) }
	if err := do("keep", "from", "soak"); err == nil {
		t.Error("a run that is not there was kept")
	}
	if err := do("keep", "from", "kills-random"); err != nil {
		t.Fatal(err)
	}
	if err := do("check"); err != nil {
		t.Error(err)
	}
	runs, err := proof.Load(kept)
	if err != nil || len(runs) != 1 {
		t.Fatalf("kept %d runs (%v)", len(runs), err)
	}
	if err := os.Remove(filepath.Join(kept, "kills-random.json")); err != nil {
		t.Fatal(err)
	}
	if err := do("check"); err == nil {
		t.Error("the page says what no run says, and was accepted")
	}
}

// The tests that a promise names are there.
func TestTestsOfPromisesExist(t *testing.T) {
	for _, p := range promises {
		for _, name := range p.Tests {
			dir, test, _ := strings.Cut(name, ".")
			if !declares(t, filepath.Join("../..", dir), test) {
				t.Errorf("%s names %s, which is not there", p.ID, name)
			}
		}
		if len(p.Runs)+len(p.Tests) == 0 {
			t.Errorf("nothing shows %s", p.ID)
		}
	}
}

func declares(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == test {
				return true
			}
		}
	}
	return false
}
