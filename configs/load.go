package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// maxFile is more than any configuration needs.
const maxFile = 1 << 20

// Load reads and checks a file. The report is never nil; the Config is nil if
// there is an error in it.
func Load(path string, kinds *flushers.Registry) (*Config, *Report) {
	data, err := readLimited(path)
	if err != nil {
		return nil, &Report{File: path, Problems: []option.Problem{{Message: err.Error()}}}
	}
	return Parse(path, data, kinds)
}

// Parse is Load for a file's content; name is what problems call it, and its
// directory is where relative ${file:} paths begin.
func Parse(name string, data []byte, kinds *flushers.Registry) (*Config, *Report) {
	report := &Report{File: name}
	if !utf8.Valid(data) {
		report.Problems = []option.Problem{{Message: "this is not UTF-8 text"}}
		return nil, report
	}
	src := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	report.view = newView(src)
	parse := parseYAML
	if strings.EqualFold(filepath.Ext(name), ".json") {
		parse = parseJSON
	}
	root, problems := parse(src)
	if root == nil {
		report.Problems = problems
		report.finish()
		return nil, report
	}
	l := &loader{kinds: kinds, problems: problems}
	config := l.load(root, filepath.Dir(name))
	report.Files = l.files
	report.view.hide(root, l.secrets)
	report.Problems = l.problems
	report.finish()
	if report.Failed() {
		return nil, report
	}
	sum := sha256.Sum256(data)
	config.File, config.Hash, config.root = name, hex.EncodeToString(sum[:6]), root
	return config, report
}

// readLimited reads a file that is meant to be small.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("couldn't read %s: %w", path, reason(err))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	closeErr := f.Close()
	switch {
	case err != nil:
		return nil, fmt.Errorf("couldn't read %s: %w", path, reason(err))
	case closeErr != nil:
		return nil, fmt.Errorf("couldn't close %s: %w", path, reason(closeErr))
	case len(data) > maxFile:
		return nil, fmt.Errorf("couldn't read %s: it is larger than 1MiB", path)
	}
	return data, nil
}

// loader collects what is wrong while a tree becomes a Config.
type loader struct {
	kinds    *flushers.Registry
	problems []option.Problem
	secrets  []*option.Node
	files    []string // that values were taken from
}

func (l *loader) errorf(pos option.Pos, path, hint, format string, args ...any) {
	l.problems = append(l.problems, option.Problem{Pos: pos, Path: path, Hint: hint, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) warnf(pos option.Pos, path, hint, format string, args ...any) {
	l.errorf(pos, path, hint, format, args...)
	l.problems[len(l.problems)-1].Warning = true
}

// decode fills structs from a block and says whether that went without an error.
func (l *loader) decode(n *option.Node, at option.Pos, path string, dst ...any) bool {
	l.secrets = append(l.secrets, option.Secrets(n, dst...)...)
	problems := option.DecodeAt(n, at, path, dst...)
	l.problems = append(l.problems, problems...)
	return !option.Failed(problems)
}

func (l *loader) load(root *option.Node, dir string) *Config {
	e := expander{dir: dir, done: map[*option.Node]bool{}}
	e.tree(root)
	l.problems, l.files = append(l.problems, e.problems...), e.files

	root = l.pipeline(root)
	start := option.Pos{Line: 1, Col: 1, Len: 1}
	b := defaultFile()
	l.decode(root, start, "", b)
	c := &Config{
		DeadLetter: defaultDeadLetter(), Limits: b.Limits, Drain: b.Drain,
		Admin: b.Admin, Metrics: b.Metrics, Log: b.Log, Reload: b.Reload, Jobs: b.Jobs, Removed: b.Removed,
	}
	if b.Source != nil {
		c.Source = l.source(b.Source, root.Get("source").Pos)
		c.Limits.ofSource(&c.Source.Decode)
	}
	if b.Routes != nil {
		c.Routes = l.routes(b.Routes, root.Get("routes").Pos)
	}
	if b.DeadLetter != nil {
		l.deadLetter(b.DeadLetter, root.Get("dead_letter").Pos, &c.DeadLetter)
	}
	l.crossChecks(root, start, c)
	return c
}

// deadLetter is a block, or the word none.
func (l *loader) deadLetter(n *option.Node, at option.Pos, d *DeadLetter) {
	if n.Kind == option.String {
		if strings.EqualFold(n.Text, "none") {
			d.None = true
			return
		}
		l.errorf(n.Pos, "dead_letter", "{}, {file: DIR} or none", "dead_letter cannot be %q", n.Text)
		return
	}
	l.decode(n, at, "dead_letter", d)
}
