package doccode_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/flushline/flushline/internal/why"
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
// what is safe, and what would free it in the very words of `flushline why`; a row is
// about a state that there is.
func TestOperationsExplainsEveryState(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, set := range []struct {
		heading, file, prefix string
		least                 int
		freed                 why.Sentences
	}{
		{"| state | means | safe | what would free it |", "../../worker/status.go", "Lane", 13, why.Lanes},
		{"### Suspects", "../../worker/status.go", "Suspect", 5, why.Suspects},
		{"## Parking", "../../worker/status.go", "Park", 3, why.Phases},
		{"## Strands", "../../worker/strand.go", "strand", 8, why.Strands},
		{"And these the source's", "../../queue/source.go", "State", 10, why.Sources},
	} {
		states := statesOf(t, set.file, set.prefix)
		if len(states) < set.least {
			t.Errorf("%s has only the states %q with names like %sX", set.file, states, set.prefix)
		}
		rows := rowsBehind(string(page), set.heading)
		for _, state := range states {
			switch cells := rows[state]; {
			case len(cells) != 4 || strings.Contains(strings.Join(cells, "|"), "||"):
				t.Errorf("docs/OPERATIONS.md has no row with four cells for the state %s of %s behind %q", state, set.file, set.heading)
			case set.freed[state] == "":
				t.Errorf("internal/why has no sentence about what would free the state %s of %s", state, set.file)
			case cells[3] != set.freed.Generic(state):
				t.Errorf("docs/OPERATIONS.md says of what would free %s:\n%s\nand flushline why says:\n%s", state, cells[3], set.freed.Generic(state))
			}
			delete(rows, state)
		}
		for state := range set.freed {
			if !slices.Contains(states, state) {
				t.Errorf("internal/why says what would free %s, and %s has no such state", state, set.file)
			}
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
