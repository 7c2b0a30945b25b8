package http

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// templates are the options with placeholders.
type templates struct {
	path    *protocol.Template
	query   []named
	headers []named
	any     bool // there is a placeholder
	host    bool // {host} is used
	fields  bool // one needs the group: a tag, a content or a date
	logs    bool // one differs from log to log whatever the group has: a content or a date
}

type named struct {
	name     string
	template *protocol.Template
}

// pathOf is what comes behind the host of a URL, without fragment.
func pathOf(rawURL string) string {
	_, rest, _ := strings.Cut(withoutFragment(rawURL), "://")
	if i := strings.IndexAny(rest, "/?{"); i >= 0 {
		return rest[i:]
	}
	return ""
}

// compile reads the options. An error never shows the value of a header or of a query.
func (f *Flusher) compile() (*templates, []option.Problem) {
	t := &templates{}
	var problems []option.Problem
	path, _, _ := strings.Cut(pathOf(f.URL), "?")
	var err error
	if t.path, err = protocol.CompileTemplate(path); err != nil {
		problems = append(problems, option.Errorf("url", "%v", err))
	}
	t.note(t.path)
	for _, name := range slices.Sorted(maps.Keys(f.Query)) {
		value, err := protocol.CompileTemplate(f.Query[name].Reveal())
		if err != nil {
			problems = append(problems, noTemplate("query", name))
		}
		t.note(value)
		t.query = append(t.query, named{name, value})
	}
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		value, err := protocol.CompileTemplate(f.Headers[name].Reveal())
		if err != nil {
			problems = append(problems, noTemplate("headers", name))
		}
		t.note(value)
		t.headers = append(t.headers, named{name, value})
	}
	return t, problems
}

func noTemplate(path, name string) option.Problem {
	return option.Errorf(path, "the value of %s is no template: placeholders are {project}, {logstore}, {config}, {host}, {tag.x}, {content.x} and "+
		"{date:2006-01-02}, and a brace of its own is written twice", name)
}

func (t *templates) note(x *protocol.Template) {
	perLog := x.Uses("content") || x.Uses("date")
	t.logs = t.logs || perLog
	t.fields = t.fields || perLog || x.Uses("tag")
	t.host = t.host || x.Uses("host")
	t.any = t.any || x.Shape("a") != x.Shape("b") || x.Uses("date")
}

// tell appends what tells places apart: the values of all placeholders.
func (t *templates) tell(dst []byte, v *protocol.TemplateVars, missing string) ([]byte, error) {
	dst, err := t.path.AppendDefault(dst, v, appendPath, missing)
	if err != nil {
		return dst, err
	}
	for _, list := range [...][]named{t.query, t.headers} {
		for _, n := range list {
			if dst, err = n.template.AppendDefault(append(dst, 0), v, appendHeader, missing); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// missing names the field that a log lacks and the option that needs it. The option's
// text is left out: it may hold a credential.
func missing(err error, of string) error {
	var lacks *protocol.MissingFieldError
	if errors.As(err, &lacks) {
		return flushers.Permanent(fmt.Errorf("couldn't send a log without %s, which the option %s needs: missing_field can say what stands for it", lacks.Field, of))
	}
	return err
}

func appendString(dst []byte, value string) []byte { return append(dst, value...) }

// appendHeader percent-encodes what may not stand in a header, spaces and %, so that a
// logstore's name cannot add a header of its own.
func appendHeader(dst []byte, value string) []byte {
	return appendEncoded(dst, value, func(c byte) bool { return c > ' ' && c < 0x7f && c != '%' })
}

// appendPath percent-encodes what would end a segment of a path.
func appendPath(dst []byte, value string) []byte {
	return appendEncoded(dst, value, func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0
	})
}

func appendEncoded(dst []byte, value string, plain func(byte) bool) []byte {
	for i := range len(value) {
		if c := value[i]; plain(c) {
			dst = append(dst, c)
		} else {
			dst = fmt.Appendf(dst, "%%%02X", c)
		}
	}
	return dst
}

func headerValue(s string) string { return string(appendHeader(nil, s)) }
