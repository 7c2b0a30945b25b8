package file

import (
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

func TestNamesThatCouldDoHarm(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"orders": "orders", "a.b-c_D9": "a.b-c_D9",
		"": "_", "..": "%2E%2E", ".": "%2E", ".hidden": "%2Ehidden", "a.": "a%2E",
		"../../etc/passwd": "%2E.%2F..%2Fetc%2Fpasswd", `..\x`: "%2E.%5Cx", "a\x00b": "a%00b",
		"%2e%2e": "%252e%252e", "C:x": "C%3Ax", "a b": "a%20b", "\u00e9": "%C3%A9",
		"NUL": "%4eUL", "com1.txt": "%63om1.txt", "COM": "COM", "lpt9": "%6cpt9", "CONSOLE": "CONSOLE",
	} {
		if got := safePath(string(appendSafe(nil, value))); got != want {
			t.Errorf("%q becomes %q, want %q", value, got, want)
		}
	}
	long := safePath(strings.Repeat("x", 4096) + "/" + strings.Repeat("y", 255))
	dir, base := path.Split(long)
	if len(dir) != 256 || len(base) != 255 || long == safePath(strings.Repeat("x", 4097)+"/"+base) {
		t.Errorf("a long name becomes %d/%d bytes, or another's", len(dir)-1, len(base))
	}
}

func TestSplitName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ path, suffix, want string }{
		{"a/b.jsonl", "", "a/b.h.000007.jsonl"},
		{"b", "", "b.h.000007"},
		{"b.jsonl.zst", ".zst", "b.h.000007.jsonl.zst"},
		{"2026.01.02", "", "2026.01.02.h.000007"},
		{".log", "", ".log.h.000007"},
	} {
		n := splitName(tc.path, tc.suffix, "h")
		got := n.file(7)
		if got != tc.want || n.number(path.Base(got)) != 7 {
			t.Errorf("%s: %s (number %d), want %s", tc.path, got, n.number(path.Base(got)), tc.want)
		}
	}
	n := splitName("a.jsonl", "", "h")
	for _, other := range []string{"a.h.jsonl", "a.h.x1.jsonl", "a.other.000001.jsonl", "a.h.000001.jsonl.zst", "a.h.99999999999999999999.jsonl"} {
		if got := n.number(other); got != 0 {
			t.Errorf("%s is taken for number %d", other, got)
		}
	}
}

// Two values never get one name, and no name is one that a system treats apart.
func TestSafeNamesAreSafeAndDistinct(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[./\\%_a:\x00-]{0,6}`),
			rapid.StringMatching(`(CON|nul|Com[0-9]|LPT.)(\.[a-z])?`),
			rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 600), func(b []byte) string { return string(b) }),
		)
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		safe := func(s string) string { return safePath(string(appendSafe(nil, s))) }
		if safe(a) == safe(b) && a != b && a+b != "_" {
			t.Errorf("%q and %q both become %q", a, b, safe(a))
		}
		got := safe(a)
		base, _, _ := strings.Cut(got, ".")
		switch {
		case got == "", len(got) > nameLimit, strings.Trim(got, ".") != got, reserved(base),
			strings.ContainsFunc(got, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/\:*?"<>|`, r) }):
			t.Errorf("%q becomes %q", a, got)
		}
	})
}

// FuzzNoFileLeavesTheRoot flushes with any key and content in the path.
func FuzzNoFileLeavesTheRoot(f *testing.F) {
	for _, s := range []string{"..", "../../x", "/etc/passwd", "a\x00b", "%2e%2e/", `..\..\x`, "NUL", strings.Repeat("../", 2000), "", ".", "~"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, project, msg string) {
		outer := t.TempDir()
		root := filepath.Join(outer, "root")
		if err := os.Mkdir(root, 0o750); err != nil {
			t.Fatal(err)
		}
		k := protocol.Key{Project: project, Logstore: msg, Config: project + msg}
		l := lane(t, new(flushertest.Process), k, func(f *Flusher) {
			at(root, "{project}/x{logstore}/{config}-{content.msg}.jsonl")(f)
			f.Host = msg
		})
		mustFlush(t, l, group(1, msg))
		stop(t, l)
		files := tree(t, outer)
		if len(files) != 1 || !strings.HasPrefix(names(files)[0], "root/") || strings.Count(names(files)[0], "/") != 3 {
			t.Errorf("project %q, msg %q: files %q", project, msg, names(files))
		}
	})
}

func TestASymbolicLinkDoesNotLeadOut(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege on Windows")
	}
	outer := t.TempDir()
	root, secret := filepath.Join(outer, "root"), filepath.Join(outer, "secret")
	for _, dir := range []string{root, secret} {
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(root, "shop")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(secret, "x"), filepath.Join(root, "orders.pod-0.000001.jsonl")); err != nil {
		t.Fatal(err)
	}
	var p flushertest.Process
	for _, path := range []string{"{project}/a.jsonl", "{logstore}.jsonl"} {
		f := lane(t, &p, key, at(root, path))
		err := flush(f, group(1, "x"))
		if class, _ := flushers.Classify(err); err != nil && class != flushers.ClassMisconfigured {
			t.Errorf("%s: %v (%v), want misconfigured or a file beside the link", path, err, class)
		}
	}
	if diff := cmp.Diff(map[string]string{}, tree(t, secret)); diff != "" {
		t.Errorf("files outside the root (-want +got):\n%s", diff)
	}
}
