package leak_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flushline/flushline/internal/leak"
)

// The test binary is also a program whose tests passed and which left a goroutine.
const leaveOne = "FLUSHLINE_TEST_LEAVE_ONE"

func TestMain(m *testing.M) {
	code := m.Run()
	if os.Getenv(leaveOne) != "" {
		go func() { select {} }()
	}
	os.Exit(leak.Check(code))
}

func TestAGoroutineThatIsLeftIsAFailure(t *testing.T) {
	t.Parallel()
	for left, env := range map[bool][]string{true: {leaveOne + "=1"}, false: nil} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestTheExitCodeOfAFailureStays$")
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if (err != nil) != left || strings.Contains(string(out), "TestMain") != left {
			t.Errorf("with a goroutine left %v: %v\n%s", left, err, out)
		}
	}
}

func TestTheExitCodeOfAFailureStays(t *testing.T) {
	t.Parallel()
	if code := leak.Check(3); code != 3 {
		t.Errorf("3 became %d", code)
	}
}

var checked = regexp.MustCompile(`(?s)\nfunc TestMain\(m \*testing\.M\).*leak\.Check\(`)

// A package with tests that does not end with Check would never say what it leaves.
func TestEveryPackageWithTestsLooksForLeaks(t *testing.T) {
	t.Parallel()
	const root = "../.."
	has := map[string]bool{} // by directory with tests
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path != root && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() && path == filepath.Join(root, "examples"): // modules of their own
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		dir := filepath.Dir(path)
		has[dir] = has[dir] || checked.Match(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(has) < 30 {
		t.Errorf("only %d packages with tests were found", len(has))
	}
	for dir, does := range has {
		if !does {
			t.Errorf("%s has tests and no `func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }`", filepath.Clean(dir))
		}
	}
}
