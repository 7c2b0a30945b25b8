package mutant

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

var (
	named  = regexp.MustCompile(`(?m)^\t([A-Z]\w+)$`)
	listed = regexp.MustCompile(`(?m)^\t\t\t([A-Z]\w+), "`)
	site   = regexp.MustCompile(`\bmutant\.On\(mutant\.(\w+)\)`)
)

// A mutant that nobody plants would be reported as not caught, one that is not in the
// list would never be tried, and a check that names no test would catch nothing.
func TestEveryMutantIsPlantedAndListed(t *testing.T) {
	t.Parallel()
	planted := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(filepath.Dir(path)) == "mutant" {
			return nil
		}
		for _, m := range site.FindAllStringSubmatch(read(t, path), -1) {
			planted[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]bool{}
	for _, list := range []string{"list.go", "list_parking.go"} {
		for _, m := range listed.FindAllStringSubmatch(read(t, list), -1) {
			entries[m[1]] = true
		}
	}
	names := named.FindAllStringSubmatch(read(t, "mutant.go"), -1)
	for _, m := range names {
		if !planted[m[1]] {
			t.Errorf("nothing asks whether %s is on", m[1])
		}
		if !entries[m[1]] {
			t.Errorf("%s is not in the list", m[1])
		}
	}
	if len(names) != int(count)-1 || len(planted) != len(names) || len(entries) != len(names) {
		t.Errorf("%d mutants, %d names, %d planted, %d listed", count-1, len(names), len(planted), len(entries))
	}
}

func TestTheListIsWhole(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range List() {
		if d.Mutant == none || d.Mutant >= count || d.Name == "" || d.Breaks == "" || len(d.Checks) == 0 || seen[d.Name] {
			t.Errorf("not whole, or twice: %+v", d)
		}
		seen[d.Name] = true
		for _, c := range d.Checks {
			for run := range strings.SplitSeq(c.Run, "|") {
				name, _, _ := strings.Cut(run, "/")
				if !declares(t, filepath.Join(root, c.Package), name) {
					t.Errorf("%s: package %s has no test %s", d.Name, c.Package, name)
				}
			}
		}
	}
}

func declares(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.Contains(read(t, f), "\nfunc "+test+"(t *testing.T)") {
			return true
		}
	}
	return false
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
