package doccode_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// statesOf are the values of the string constants of a file whose names begin with a
// prefix and an upper-case letter.
func statesOf(t *testing.T, file, prefix string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("^" + prefix + "[A-Z]")
	var states []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != len(spec.Names) {
			return true
		}
		for i, id := range spec.Names {
			if text, ok := spec.Values[i].(*ast.BasicLit); ok && text.Kind == token.STRING && name.MatchString(id.Name) {
				state, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				states = append(states, state)
			}
		}
		return true
	})
	return states
}

// A state that status can show has a row in docs/OPERATIONS.md that says what it means,
// what is safe and what to do; a row is about a state that there is.
func TestOperationsExplainsEveryState(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []struct {
		heading, file, prefix string
		least                 int
	}{
		{"| state | means | safe | to do |", "../../worker/status.go", "Lane", 13},
		{"### Suspects", "../../worker/status.go", "Suspect", 5},
		{"## Parking", "../../worker/status.go", "Park", 3},
		{"## Strands", "../../worker/strand.go", "strand", 8},
		{"And these the source's", "../../queue/source.go", "State", 10},
	} {
		states := statesOf(t, set.file, set.prefix)
		if len(states) < set.least {
			t.Errorf("%s has only the states %q with names like %sX", set.file, states, set.prefix)
		}
		rows := rowsBehind(string(page), set.heading)
		for _, state := range states {
			if cells := rows[state]; len(cells) != 4 || strings.Contains(strings.Join(cells, "|"), "||") {
				t.Errorf("docs/OPERATIONS.md has no row with four cells for the state %s of %s behind %q", state, set.file, set.heading)
			}
			delete(rows, state)
		}
		for state := range rows {
			t.Errorf("docs/OPERATIONS.md has a row for %s behind %q, and %s has no such state", state, set.heading, set.file)
		}
	}
}

// rowsBehind are the rows of the first table behind a text, by their first cell.
func rowsBehind(page, text string) map[string][]string {
	_, rest, _ := strings.Cut(page, text)
	rows := map[string][]string{}
	inTable := false
	for line := range strings.SplitSeq(rest, "\n") {
		row, isRow := strings.CutPrefix(line, "| `")
		switch {
		case isRow:
			inTable = true
			cells := strings.Split(strings.TrimSuffix(row, " |"), " | ")
			rows[strings.TrimSuffix(cells[0], "`")] = cells
		case inTable:
			return rows
		}
	}
	return rows
}
