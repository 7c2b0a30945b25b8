package logfile

import (
	"fmt"
	"path"
	"strings"
)

// pattern is a path with wildcards, cut at slashes: *, ? and [...] within a
// component, ** for any number of components.
type pattern []string

const anyDepth = "**"

func hasWildcard(p string) bool { return strings.ContainsAny(p, "*?[") }

func parsePattern(text string) (pattern, error) {
	p := pattern(strings.Split(text, "/"))
	for _, c := range p {
		if _, err := path.Match(c, ""); err != nil {
			return nil, fmt.Errorf("%q is no pattern: in %q a bracket does not close", text, c)
		}
	}
	return p, nil
}

// split takes off the components before the first wildcard.
func (p pattern) split() (fixed []string, rest pattern) {
	n := 0
	for n < len(p)-1 && !hasWildcard(p[n]) {
		n++
	}
	return p[:n], p[n:]
}

// match says whether the whole name fits. Names are as long as file systems and S3
// allow, patterns are the user's.
func (p pattern) match(name string) bool { return p.fits(strings.Split(name, "/"), false) }

// above says whether something below a directory may fit.
func (p pattern) above(dir string) bool { return p.fits(strings.Split(dir, "/"), true) }

// fits keeps the set of components of the pattern that the next component of the
// name may meet, so that no name takes more than a step for each of both.
func (p pattern) fits(name []string, asDirectory bool) bool {
	at := make([]bool, len(p)+1)
	at[0] = true
	p.widen(at)
	for _, c := range name {
		next := make([]bool, len(p)+1)
		for i, here := range at[:len(p)] {
			switch {
			case !here:
			case p[i] == anyDepth:
				next[i] = true
			default:
				if ok, _ := path.Match(p[i], c); ok {
					next[i+1] = true
				}
			}
		}
		p.widen(next)
		at = next
	}
	if !asDirectory {
		return at[len(p)]
	}
	for _, here := range at[:len(p)] {
		if here {
			return true
		}
	}
	return false
}

// widen lets ** stand for nothing.
func (p pattern) widen(at []bool) {
	for i, c := range p {
		if at[i] && c == anyDepth {
			at[i+1] = true
		}
	}
}
