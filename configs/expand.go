package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/flushline/flushline/option"
)

var (
	reference = regexp.MustCompile(`\$?\$\{[^}]*\}?`)
	// onlyReference is a value that is one reference and nothing else.
	onlyReference = regexp.MustCompile(`^\$\{(env|file):[^}]+\}$`)
)

// expander puts the values of ${env:NAME} and ${file:PATH} in their place.
type expander struct {
	dir      string                // what relative paths of files are relative to
	done     map[*option.Node]bool // a merged value stands in several blocks
	problems []option.Problem
	files    []string // that were read, or should have been
}

// tree expands every scalar value; keys stay as they are.
func (e *expander) tree(n *option.Node) {
	for _, item := range n.Items {
		e.tree(item)
	}
	for i := range n.Pairs {
		e.tree(n.Pairs[i].Value)
	}
	if n.Kind == option.String && !e.done[n] && strings.Contains(n.Text, "${") {
		e.done[n] = true
		e.scalar(n)
	}
}

func (e *expander) scalar(n *option.Node) {
	written, failed := n.Text, false
	replaced := false
	n.Text = reference.ReplaceAllStringFunc(n.Text, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref[1:]
		}
		value, err := e.resolve(ref)
		if err != nil {
			failed = true
			e.problems = append(e.problems, option.Problem{Pos: n.Pos, Message: err.Error()})
		}
		replaced = true
		return value
	})
	if failed {
		n.Kind, n.Text = option.Broken, ""
	}
	if replaced {
		n.Written = written
	}
}

// resolve finds one value. What is no reference may be part of a secret: its text
// is not repeated.
func (e *expander) resolve(ref string) (string, error) {
	body, closed := strings.CutSuffix(ref[2:], "}")
	scheme, name, ok := strings.Cut(body, ":")
	switch {
	case !closed:
		return "", errors.New("a ${ is not closed: write ${env:NAME}, or $${ for the text itself")
	case ok && scheme == "env" && name != "":
		value, set := os.LookupEnv(name)
		if !set {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return value, nil
	case ok && scheme == "file" && name != "":
		return e.file(name)
	}
	return "", errors.New("a ${...} refers to nothing: write ${env:NAME} or ${file:PATH}, or $${ for the text itself")
}

// file reads a small file, such as a mounted secret.
func (e *expander) file(name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(e.dir, name)
	}
	if !slices.Contains(e.files, name) {
		e.files = append(e.files, name)
	}
	data, err := readLimited(name)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}
