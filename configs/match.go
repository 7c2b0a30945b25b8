package configs

import (
	"fmt"
	"strings"

	"github.com/flushline/flushline/option"
)

// Validate refuses patterns that mean something else than they seem to.
func (m *Match) Validate() []option.Problem {
	var problems []option.Problem
	for _, p := range []struct{ path, pattern string }{
		{"project", m.Project}, {"logstore", m.Logstore}, {"config", m.Config},
	} {
		switch {
		case p.pattern == "":
			problems = append(problems, option.Errorf(p.path, "%s is empty: write *, or leave it out, to match everything", p.path))
		case strings.ContainsAny(p.pattern, `[]\`):
			problems = append(problems, option.Errorf(p.path, "%s %q: the only wildcards are * and ?", p.path, p.pattern))
		}
	}
	return problems
}

// shadowed warns of routes that an earlier one leaves nothing to.
func (l *loader) shadowed(n *option.Node, routes []Route) {
	for j := range routes {
		for i := range j {
			if !covers(routes[i].Match, routes[j].Match) {
				continue
			}
			pos := n.Items[j].Place(n.Items[j].Pos, "match")
			l.warnf(pos, fmt.Sprintf("routes[%d]", j), "move it up, or remove it",
				"route %s can never match: route %s before it takes everything it asks for", routes[j].Name, routes[i].Name)
			break
		}
	}
}

func covers(a, b Match) bool {
	return wider(a.Project, b.Project) && wider(a.Logstore, b.Logstore) && wider(a.Config, b.Config)
}

// wider says whether pattern a matches all that pattern b matches. A wildcard of b
// is taken for a character that only a wildcard of a can match, which may miss an
// odd pair of patterns but never claims too much.
func wider(a, b string) bool {
	star, from := -1, 0
	i, j := 0, 0
	for j < len(b) {
		switch {
		case i < len(a) && a[i] == '*':
			star, from = i, j
			i++
		case i < len(a) && (a[i] == b[j] || a[i] == '?') && b[j] != '*':
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(a[i:], "*") == ""
}
