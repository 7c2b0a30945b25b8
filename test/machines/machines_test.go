package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flushline/flushline/internal/proof"
)

const root = "../.."

// fine is what a test prints that took 321 steps.
const fine = "=== RUN   TestA\n    a_test.go:9: [rapid] OK, passed 10 tests (1ms)\n    steps.go:31: the machine took 321 steps\n--- PASS: TestA (0.00s)\n"

func TestAMachineThatFailsOrTakesNoStepIsAFailure(t *testing.T) {
	t.Setenv(proof.DirEnv, t.TempDir())
	for name, tt := range map[string]struct {
		out            string
		failed, refuse bool
	}{
		"passed":      {fine, false, false},
		"failed":      {fine, true, true},
		"not found":   {"testing: warning: no tests to run\nPASS\n", false, true},
		"took none":   {strings.Replace(fine, "321", "0", 1), false, true},
		"not counted": {"--- PASS: TestA (0.00s)\n", false, true},
	} {
		r := result{stepMachine: stepMachine{name: "a", pkg: "p", test: "TestA"}}
		r.judge(tt.out, tt.failed)
		var out bytes.Buffer
		err := report(&out, []result{r})
		if (err != nil) != tt.refuse || r.sequences != 10*strings.Count(tt.out, "OK, passed") {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
		run := proof.Begin("machines", "", "")
		if err := keep(run, []result{r}, false); err != nil || run.Failed != tt.refuse {
			t.Errorf("%s: kept as failed %v, %v", name, run.Failed, err)
		}
	}
}

var counts = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\) \{(?:\n(?:[^}].*\n)*?)?.*(?:steps\.Count\(t\)|\bstep\(t, )`)

// Every test that counts its steps is in the list, and every machine of the list is
// such a test.
func TestTheListIsWhole(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, dir := range []string{"queue", "worker", "flushers", "protocol", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "steps" {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			pkg, err := filepath.Rel(root, filepath.Dir(path))
			for _, m := range counts.FindAllSubmatch(b, -1) {
				found[filepath.ToSlash(pkg)+" "+string(m[1])] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range machines {
		name := m.pkg + " " + m.test
		if !found[name] {
			t.Errorf("%s counts no steps", name)
		}
		delete(found, name)
		if m.name == "" || m.checks < 100 || m.runs < 1 {
			t.Errorf("not whole: %+v", m)
		}
	}
	for name := range found {
		t.Errorf("%s is not in the list", name)
	}
}
