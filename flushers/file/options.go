package file

import (
	"fmt"
	"path"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Validate finds what a single option cannot tell.
func (f *Flusher) Validate() []option.Problem {
	var problems []option.Problem
	if f.Path.IsZero() {
		problems = append(problems, option.Errorf("path", "it is empty"))
	} else if _, below, err := f.located(); err != nil {
		problems = append(problems, option.Errorf("path", "%v", err))
	} else if err := checkPath(below.Shape("x")); err != nil {
		problems = append(problems, option.Errorf("path", "%v", err))
	}
	if _, err := f.encoding(); err != nil {
		problems = append(problems, option.Errorf("compression", "%v", err))
	}
	if f.MaxSize < 1 || f.OpenFiles < 1 {
		problems = append(problems, option.Errorf("max_size", "max_size and open_files must be at least 1"))
	}
	return append(problems, f.JSON.Problems()...)
}

var suffixes = map[string]protocol.Encoding{".gz": protocol.EncodingGzip, ".zst": protocol.EncodingZstd}

func suffixOf(e protocol.Encoding) string {
	for suffix, encoding := range suffixes {
		if encoding == e {
			return suffix
		}
	}
	return ""
}

// encoding is what the option says, or the suffix of the path; they must agree.
func (f *Flusher) encoding() (protocol.Encoding, error) {
	suffix := path.Ext(f.Path.String())
	implied, found := suffixes[suffix]
	if f.Compression == "" {
		return implied, nil
	}
	e, err := protocol.ParseEncoding(f.Compression)
	if err != nil {
		return 0, err
	}
	if found && e != implied {
		return 0, fmt.Errorf("%s contradicts the suffix %s of path: remove compression, or change the suffix", f.Compression, suffix)
	}
	return e, nil
}

// noRoot is the default of root: the working directory, unless path says better.
const noRoot = "."

// located is the directory that no file leaves, and the path below it. An absolute
// path, as iLogtail's FilePath is, names that directory itself when root does not:
// everything before the first placeholder's component.
func (f *Flusher) located() (root string, below *protocol.Template, err error) {
	text := f.Path.String()
	if !strings.HasPrefix(text, "/") {
		return f.Root, &f.Path, nil
	}
	if f.Root != noRoot {
		return "", nil, fmt.Errorf("%q is absolute and root is %q: write the path below root", text, f.Root)
	}
	fixed, _, _ := strings.Cut(text, "{")
	end := strings.LastIndexByte(fixed, '/')
	if end == 0 {
		return "", nil, fmt.Errorf("%q names no directory that holds all its files: set root, and write the path below it", text)
	}
	below, err = protocol.CompileTemplate(text[end+1:])
	return text[:end], below, err
}

// checkPath has one rule for all systems, so that a configuration can move.
func checkPath(p string) error {
	if i := strings.IndexFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\<>:"|?*`, r) }); i >= 0 {
		return fmt.Errorf("%q cannot stand in a file name", p[i:i+1])
	}
	for _, c := range strings.Split(p, "/") {
		switch c {
		case "":
			return fmt.Errorf("a component of %q is empty", p)
		case ".", "..":
			return fmt.Errorf("%q has the component %q: paths are below root and cannot leave it", p, c)
		}
	}
	return nil
}

// Place is where the entry writes and what: two entries that write one path must
// write the same there.
func (f *Flusher) Place() (where, what string) {
	what = f.Format
	if words := f.Words(); words != "" && f.Format == FormatJSONLines {
		what += " (" + words + ")"
	}
	if e, err := f.encoding(); err == nil && e != protocol.EncodingNone {
		what += " in " + e.String()
	}
	root, below, err := f.located()
	if err != nil {
		return "", "" // Validate says it
	}
	return path.Join(root, below.String()), what
}

// ForeignKeys are those of iLogtail's flusher_file.
func (f *Flusher) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "MaxFiles", Why: "files are never deleted here: they may be the only copy"},
	}
}
