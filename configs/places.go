package configs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/option"
)

// Given is an option of a flusher entry that the file has.
type Given struct {
	Name   string // "tls.ca"
	At     string // file:line:col of its value
	Secret bool
}

// At is where an option of the file stands, such as limits.window, as file:line:col of
// its value; empty if it was not given.
func (c *Config) At(path string) string { return c.place(given(c.root, path)) }

// RouteAt is where a route begins.
func (c *Config) RouteAt(r *Route) string { return c.place(r.pos) }

// EntryAt is where a flusher of a route begins.
func (c *Config) EntryAt(e *Entry) string { return c.place(e.pos) }

func (c *Config) place(pos option.Pos) string {
	if pos.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", c.File, pos.Line, pos.Col)
}

// Entry finds a flusher of a route; nil: there is none of that name.
func (c *Config) Entry(route, flusher string) *Entry {
	for i := range c.Routes {
		if c.Routes[i].Name != route {
			continue
		}
		for j := range c.Routes[i].Flushers {
			if e := &c.Routes[i].Flushers[j]; e.Name == flusher {
				return e
			}
		}
	}
	return nil
}

// GivenOptions lists what the file says about the kind's own options of an entry, in
// the kind's order.
func (c *Config) GivenOptions(e *Entry) []Given {
	return c.given(option.Fields(e.Kind.New()), e.options, "", false)
}

func (c *Config) given(fields []option.Field, n *option.Node, prefix string, secret bool) []Given {
	var out []Given
	for i := range fields {
		f := &fields[i]
		name := strings.TrimPrefix(prefix+"."+f.Name, ".")
		hidden := secret || f.Secret || f.Elem != nil && f.Elem.Secret
		var p *option.Pair
		for _, spelling := range slices.Concat([]string{f.Name}, f.Aliases) {
			if p == nil {
				p = n.Get(spelling)
			}
		}
		switch {
		case p == nil:
		case len(f.Fields) > 0:
			out = append(out, c.given(f.Fields, p.Value, name, hidden)...)
		default:
			pos := p.Value.Pos
			if pos.Line == 0 {
				pos = p.Pos
			}
			out = append(out, Given{Name: name, At: c.place(pos), Secret: hidden})
		}
	}
	return out
}
