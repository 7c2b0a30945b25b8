package logfile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue/job"
)

// plant makes files below a new directory and returns it, without links.
func plant(t testing.TB, names ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		path := filepath.Join(dir, filepath.FromSlash(n))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func find(t testing.TB, paths ...string) ([]job.Slice, error) {
	t.Helper()
	cfg := DefaultConfig()
	plan, err := Find(context.Background(), &cfg, paths, 3)
	if err != nil {
		return nil, err
	}
	var out []job.Slice
	for s, err := range plan.Slices {
		if err != nil {
			return out, err
		}
		out = append(out, s)
	}
	return out, nil
}

func found(t testing.TB, paths ...string) (names []string) {
	t.Helper()
	slices, err := find(t, paths...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range slices {
		names = append(names, below(&slices[i]))
	}
	return names
}

func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	dir := plant(t, "a/x.log", "a/y.json", "a-b/x.log", "a/deep/er/z.log", "b.log", "[odd]/c.log")
	if err := os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "link")); err != nil {
		t.Skip("no links here: ", err)
	}
	if err := os.Symlink(filepath.Join(dir, "b.log"), filepath.Join(dir, "named")); err != nil {
		t.Fatal(err)
	}
	in := func(p string) string { return filepath.Join(dir, filepath.FromSlash(p)) }
	for _, c := range []struct {
		name  string
		paths []string
		want  []string
	}{
		{"a file", []string{in("b.log")}, []string{"b.log"}},
		{"a directory, links in it passed over", []string{dir}, []string{"[odd]/c.log", "a/deep/er/z.log", "a/x.log", "a/y.json", "a-b/x.log", "b.log"}},
		{"a pattern", []string{in("a*/*.log")}, []string{"a/x.log", "a-b/x.log"}},
		{"any depth", []string{in("**/*.log")}, []string{"[odd]/c.log", "a/deep/er/z.log", "a/x.log", "a-b/x.log", "b.log"}},
		{"depth in the middle", []string{in("a/**/z.log")}, []string{"deep/er/z.log"}},
		{"twice", []string{in("b.log"), in("b.log"), in("a/x.log"), in("a")}, []string{"deep/er/z.log", "x.log", "y.json", "b.log"}},
		{"one below the other: the first root counts", []string{dir, in("a")}, []string{"[odd]/c.log", "a/deep/er/z.log", "a/x.log", "a/y.json", "a-b/x.log", "b.log"}},
		{"patterns that overlap", []string{in("a/*.log"), in("a/*")}, []string{"x.log", "y.json"}},
		{"a link to a directory", []string{in("link")}, []string{"deep/er/z.log", "x.log", "y.json"}},
		{"a link and its directory", []string{in("a"), in("link")}, []string{"deep/er/z.log", "x.log", "y.json"}},
		{"a link to a file", []string{in("named")}, []string{"named"}},
		{"a link and its file", []string{in("named"), in("b.log")}, []string{"b.log"}},
		{"a link and its file's directory", []string{in("named"), in("*.log")}, []string{"b.log"}},
		{"a name that looks like a pattern", []string{in("[odd]")}, []string{"c.log"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, found(t, c.paths...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNothingIsFound(t *testing.T) {
	t.Parallel()
	dir := plant(t, "a/x.log", "shut/x.log")
	empty := t.TempDir()
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):        "none: ",
		filepath.Join(dir, "none", "*"):   "none: ",
		filepath.Join(dir, "a", "*.json"): "fits",
		filepath.Join(dir, "a", "[x"):     "bracket",
		empty:                             "below " + empty,
		os.DevNull:                        "neither a file nor a directory",
		"s3://":                           "no bucket",
	} {
		if _, err := find(t, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something with %q", path, err, want)
		}
	}
	if _, err := find(t); err == nil {
		t.Error("no path is accepted")
	}
	shut := filepath.Join(dir, "shut")
	if err := os.Chmod(shut, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(shut, 0o700) })
	if _, err := os.ReadDir(shut); err == nil {
		t.Skip("this user may read everything")
	}
	if _, err := find(t, dir); err == nil || !strings.Contains(err.Error(), shut) {
		t.Errorf("a directory that cannot be read: %v", err)
	}
}

// Plans are in one order, whatever the names, and shards depend on nothing but the
// name below the root.
func TestPlansAreInOrder(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var names []string
	for i := range 300 {
		var parts []string
		for range 1 + rng.IntN(3) {
			parts = append(parts, string([]byte{"ab-._0Z "[rng.IntN(8)], "ab"[rng.IntN(2)]})+"d")
		}
		names = append(names, strings.Join(parts, "/")+fmt.Sprintf("/%d", i))
	}
	dir := plant(t, names...)
	got, err := find(t, filepath.Join(dir, "**", "*1"), dir, filepath.Join(dir, "a*", "**"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(got, func(a, b job.Slice) int { return compareNames(a.Name, b.Name) }) || len(got) != len(names) {
		t.Errorf("%d slices of %d files, or not in order", len(got), len(names))
	}
	elsewhere, err := find(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	count := map[int]int{}
	for i := range got {
		count[got[i].Shard]++
		if got[i].Shard != elsewhere[i].Shard || got[i].Cut != elsewhere[i].Cut {
			t.Errorf("%s: shard %d, then %d", got[i].Name, got[i].Shard, elsewhere[i].Shard)
		}
	}
	if len(count) != 3 || count[0] < 50 || count[1] < 50 || count[2] < 50 {
		t.Errorf("shards: %v", count)
	}
}

func TestWhatBecameOfTheFiles(t *testing.T) {
	t.Parallel()
	dir := plant(t, "a", "b", "c/d", "e")
	before, err := find(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Remove(filepath.Join(dir, "a")))
	must(os.WriteFile(filepath.Join(dir, "b"), []byte("longer than before"), 0o600))
	must(os.Chtimes(filepath.Join(dir, "c", "d"), time.Time{}, time.Unix(1, 0)))
	for i := range 20 {
		must(os.WriteFile(filepath.Join(dir, fmt.Sprintf("e%02d", i)), nil, 0o600))
	}
	cfg := DefaultConfig()
	plan, err := Find(context.Background(), &cfg, []string{dir}, 3)
	must(err)
	d, err := Compare(sequence(before), plan.Slices)
	must(err)
	if d.New != 20 || len(d.NewNames) != MaxNames || d.Changed != 2 || d.Missing != 1 {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "b"), filepath.Join(dir, "c", "d")}, d.ChangedNames); diff != "" {
		t.Error(diff)
	}
	must(os.RemoveAll(dir))
	if _, err := Compare(sequence(before), plan.Slices); err == nil {
		t.Error("a directory that is gone is no error")
	}
}

func sequence(s []job.Slice) job.Slices {
	return func(yield func(job.Slice, error) bool) {
		for i := range s {
			if !yield(s[i], nil) {
				return
			}
		}
	}
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		fits, above   bool
	}{
		{"a/*.gz", "a/x.gz", true, false},
		{"a/*.gz", "a", false, true},
		{"a/*.gz", "b", false, false},
		{"**", "a/b/c", true, true},
		{"a/**", "a", true, true},
		{"a/**/b", "a/b", true, true},
		{"a/**/b", "a/x/y/b", true, true},
		{"a/**/b", "a/x/y/c", false, true},
		{"**/b/**", "a/c", false, true},
		{"a/[b-c]?", "a/bz", true, false},
		{"a/[b-c]?", "a/dz", false, false},
		{strings.Repeat("**/", 40) + "x", strings.Repeat("a/", 40) + "y", false, true},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(c.name); got != c.fits {
			t.Errorf("%s fits %s: %v", c.name, c.pattern, got)
		}
		if got := p.above(c.name); got != c.above {
			t.Errorf("%s may be above %s: %v", c.name, c.pattern, got)
		}
	}
}
