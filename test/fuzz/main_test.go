package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// module makes a module with two targets: one that holds, and one that a given
// expression decides.
func module(t *testing.T, holds string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26\n",
		"m.go":   "package m\n",
		"m_test.go": `package m

import "testing"

func FuzzGood(f *testing.F) {
	f.Add([]byte("seed"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 3 && b[0] == 'x' && b[1] == 'y' {
			t.Log("deeper")
		}
	})
}

func FuzzOther(f *testing.F) {
	f.Add(1)
	f.Fuzz(func(t *testing.T, n int) {
		if !(` + holds + `) {
			t.Fatal("found")
		}
	})
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func fuzz(t *testing.T, dir string, keep int64) (string, error) {
	t.Helper()
	targets, err := find(t.Context(), dir, regexp.MustCompile("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(targets) != 2 || targets[0].String() != "example.org/m.FuzzGood" || targets[1].name != "FuzzOther" {
		t.Fatalf("found %v", targets)
	}
	var out bytes.Buffer
	r := &runner{work: t.TempDir(), cache: t.TempDir(), each: time.Second, keep: keep, out: &out}
	err = r.all(t.Context(), targets)
	run := proof.Begin("fuzz", "", "")
	r.figures(run, len(targets))
	good := !slices.ContainsFunc(run.Figures, func(f proof.Figure) bool { return !f.Kept() })
	if good != (err == nil) || len(run.Figures) == 0 || r.execs == 0 {
		t.Errorf("figures %+v of a run that ended with %v", run.Figures, err)
	}
	return out.String(), err
}

func TestATargetThatFailsIsAFailure(t *testing.T) {
	t.Parallel()
	dir := module(t, "n > -100 && n < 100")
	out, err := fuzz(t, dir, 0)
	if err == nil || !strings.Contains(err.Error(), "FuzzOther") || strings.Contains(err.Error(), "FuzzGood") {
		t.Errorf("%v\n%s", err, out)
	}
	if found, _ := filepath.Glob(dir + "/testdata/fuzz/FuzzOther/*"); len(found) != 1 {
		t.Errorf("the failing input was not written: %v", found)
	}
}

func TestWhatReachesNewCodeIsKept(t *testing.T) {
	t.Parallel()
	dir := module(t, "true")
	out, err := fuzz(t, dir, 200)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found, _ := filepath.Glob(dir + "/testdata/fuzz/*/*")
	var size int64
	for _, name := range found {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if len(found) == 0 || size > 400 {
		t.Errorf("%d inputs of %d bytes were kept\n%s", len(found), size, out)
	}
}

func TestOnlyTheFuzzersOwnDeadlineIsForgiven(t *testing.T) {
	t.Parallel()
	if !late.MatchString("fuzz: elapsed: 4s\n--- FAIL: FuzzX (4.01s)\n    context deadline exceeded\nFAIL\n") {
		t.Error("the fuzzer's own deadline is a failure")
	}
	if late.MatchString("--- FAIL: FuzzX (4.01s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:9: context deadline exceeded\n") {
		t.Error("a target that ran out of its own time is forgiven")
	}
}
