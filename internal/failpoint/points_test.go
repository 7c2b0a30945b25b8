package failpoint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every constant is in the list, with a meaning of its own, and nothing else is.
func TestTheListIsWhole(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("points.go")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[Point]bool{}
	for _, m := range regexp.MustCompile(`Point = "([a-z.]+)"`).FindAllSubmatch(src, -1) {
		declared[Point(m[1])] = true
	}
	means := map[string]bool{}
	for _, p := range Points() {
		if !declared[p.Point] || p.Means == "" || means[p.Means] {
			t.Errorf("%s is listed twice, is no constant, or means nothing of its own", p.Point)
		}
		delete(declared, p.Point)
		means[p.Means] = true
	}
	for p := range declared {
		t.Errorf("%s is not in the list", p)
	}
}

// Every point has one place in the program, and every place is a listed point; what
// may fail is an Err, the others are Hits.
func TestEveryPointHasOnePlace(t *testing.T) {
	t.Parallel()
	names := map[string]Info{}
	src, err := os.ReadFile("points.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(\w+)\s+Point = "([a-z.]+)"`).FindAllSubmatch(src, -1) {
		for _, p := range Points() {
			if string(p.Point) == string(m[2]) {
				names[string(m[1])] = p
			}
		}
	}
	places := map[string][]string{}
	call := regexp.MustCompile(`failpoint\.(Hit|Err)\(([^)]*)\)`)
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "failpoint" || d.Name() == "test" || len(d.Name()) > 2 && d.Name()[0] == '.') {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range call.FindAllSubmatch(body, -1) {
			name, ok := strings.CutPrefix(string(m[2]), "failpoint.")
			p, known := names[name]
			if !ok || !known {
				t.Errorf("%s: %s is no listed point", path, m[0])
			}
			if known && p.Fails != (string(m[1]) == "Err") {
				t.Errorf("%s: %s does not fit what the list says of failing", path, m[0])
			}
			places[name] = append(places[name], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range names {
		if n := len(places[name]); n != 1 {
			t.Errorf("%s has %d places, want one: %v", p.Point, n, places[name])
		}
	}
}
