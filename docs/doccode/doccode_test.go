package doccode_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/flushline/flushline/docs/doccode"
)

const root = "../.."

// Each Go block of the documents is code that compiles: it quotes a file, and the
// packages of those files, tests included, pass vet.
func TestTheCodeOfTheDocumentsIsTheCode(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string][]string{} // by the module they belong to
	quotations := 0
	for _, file := range append(files, root+"/README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := doccode.Blocks(string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, b := range blocks {
			name, err := b.Quoted()
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if name == "" {
				continue
			}
			source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
			if err != nil {
				t.Errorf("%s: line %d: couldn't read what the block quotes: %v", file, b.Line, err)
				continue
			}
			if err := b.Check(string(source)); err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
			}
			quotations++
			if !strings.HasSuffix(name, ".go") {
				continue
			}
			module := moduleOf(path.Dir(name))
			pkg := "./" + strings.TrimPrefix(strings.TrimPrefix(path.Dir(name), module), "/")
			if !slices.Contains(packages[module], pkg) {
				packages[module] = append(packages[module], pkg)
			}
		}
	}
	if quotations < 10 {
		t.Errorf("%d quotations were found; the guide alone has more", quotations)
	}
	for module, named := range packages {
		vet(t, module, named)
	}
	if len(packages) != 2 {
		t.Errorf("the documents quote %d modules: the repository's and the example's are two", len(packages))
	}
}

// moduleOf is the directory of the module that a directory belongs to, with
// slashes and relative to the root: empty for the repository's own.
func moduleOf(dir string) string {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir), "go.mod")); err == nil {
			return dir
		}
	}
	return ""
}

// vet type-checks packages of a module. With the race detector if this test has
// it, so that both use the same compiled packages.
func vet(t *testing.T, module string, packages []string) {
	t.Helper()
	args := []string{"vet"}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	c := exec.CommandContext(t.Context(), "go", append(args, packages...)...)
	c.Dir = filepath.Join(root, filepath.FromSlash(module))
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("couldn't vet what the documents quote of %s: %v\n%s", c.Dir, err, out)
	}
}

const source = `package p

// Answer is documented.
type Answer struct {
	Code   int    // of HTTP
	Status string
}

// String has two lines.
func (a *Answer) String() string {
	// why
	return a.Status
}
`

func TestAQuotationLeavesOutButNeverChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		block string
		wrong string // the line that is blamed; empty: none
	}{
		"the whole file":         {source, ""},
		"without comments":       {"func (a *Answer) String() string {\n\treturn a.Status\n}", ""},
		"other spaces":           {"type Answer struct {\n  Code int // of HTTP\n  Status string\n}", ""},
		"pieces":                 {"type Answer struct {\n// ...\n}\n// ...\nreturn a.Status", ""},
		"a changed line":         {"func (a *Answer) String() string {\n\treturn a.Code\n}", "return a.Code"},
		"an added line":          {"type Answer struct {\n\tCode int // of HTTP\n\tBody string\n}", "Body string"},
		"an added comment":       {"// String is quick.\nfunc (a *Answer) String() string {", "// String is quick."},
		"a line left out":        {"type Answer struct {\n\tStatus string", "Status string"},
		"pieces the wrong way":   {"return a.Status\n// ...\ntype Answer struct {", "type Answer struct {"},
		"more than the file has": {"\treturn a.Status\n}\nfunc more() {}", "func more() {}"},
	} {
		b := doccode.Block{Line: 7, Lines: append([]string{"// p/p.go"}, strings.Split(c.block, "\n")...)}
		err := b.Check(source)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.wrong != "" && (err == nil || !strings.HasSuffix(err.Error(), c.wrong)):
			t.Errorf("%s: %v; want the line %q blamed", name, err, c.wrong)
		}
	}
}

func TestBlocksNameWhatTheyQuote(t *testing.T) {
	t.Parallel()
	const fence = "```"
	for name, c := range map[string]struct{ text, quoted, problem string }{
		"a Go block":            {fence + "go\n// p/p.go\npackage p\n" + fence, "p/p.go", ""},
		"in a list":             {"- so:\n  " + fence + "go\n  // p/p.go\n  " + fence, "p/p.go", ""},
		"a YAML block":          {fence + "yaml\n# configs/nats.yaml\n" + fence, "configs/nats.yaml", ""},
		"the reader's file":     {fence + "yaml\n# flushline.yaml\n" + fence, "", ""},
		"a free YAML block":     {fence + "yaml\nroutes: []\n" + fence, "", ""},
		"a shell block":         {fence + "sh\n# make it\nmake\n" + fence, "", ""},
		"a Go block of no file": {"\n\n" + fence + "go\npackage p\n" + fence, "", "line 3: the Go block names no file"},
		"an empty Go block":     {fence + "golang\n" + fence, "", "names no file"},
		"tildes":                {"~~~ go\nx\n~~~", "", "names no file"},
		"testdata":              {fence + "go\n// p/testdata/p.go\n" + fence, "", "nothing compiles"},
		"elsewhere":             {fence + "go\n// ../p.go\n" + fence, "", "nothing compiles"},
		"the wrong language":    {fence + "go\n// p/p.yaml\n" + fence, "", "cannot quote"},
	} {
		blocks, err := doccode.Blocks(c.text)
		if err != nil || len(blocks) != 1 {
			t.Errorf("%s: %d blocks, %v", name, len(blocks), err)
			continue
		}
		quoted, err := blocks[0].Quoted()
		switch {
		case quoted != c.quoted:
			t.Errorf("%s: quotes %q, want %q", name, quoted, c.quoted)
		case c.problem == "" && err != nil, c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: %v, want %q", name, err, c.problem)
		}
	}
	if _, err := doccode.Blocks(fence + "go\n// p/p.go\n"); err == nil {
		t.Error("a block without an end is accepted")
	}
}
