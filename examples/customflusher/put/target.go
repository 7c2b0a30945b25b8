package put

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Validate finds what a single option cannot tell. It runs when a configuration is
// loaded, so that the mistake is shown with its line.
func (f *Flusher) Validate() []option.Problem {
	var problems []option.Problem
	if _, err := f.host(); err != nil {
		problems = append(problems, option.Errorf("url", "%v", err))
	}
	for _, name := range []string{"host", "content"} {
		if f.URL.Uses(name) {
			problems = append(problems, option.Errorf("url", "{%s} is not the same for all logs of a group on every machine", name))
		}
	}
	return problems
}

// host is scheme and host of the URL. A placeholder in them is refused with what
// is no URL: data must not decide where the token goes.
func (f *Flusher) host() (string, error) {
	u, err := url.Parse(f.URL.String())
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return "", fmt.Errorf("%q is no http or https URL: write it like https://dav.example.com/logs", f.URL.String())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", fmt.Errorf("user, ? and # cannot stand in the url: credentials belong in token")
	}
	return u.Scheme + "://" + u.Host, nil
}

// target is the URL of a group's object. The same group has the same URL for
// ever, which is what makes the kind idempotent per group.
func (f *Flusher) target(id protocol.ID, g *protocol.LogGroup) (string, error) {
	vars := &protocol.TemplateVars{Key: f.key, Time: g.Logs[0].Time, Group: g}
	b, err := f.URL.AppendSafe(nil, vars, appendSegment)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(b), "/") + "/" + id.String() + ".jsonl", nil
}

// appendSegment keeps a value inside its segment of the path: the name of a
// logstore comes from whoever publishes, and "../x" must not lead elsewhere.
func appendSegment(dst []byte, value string) []byte {
	for _, c := range []byte(value) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
			dst = append(dst, c)
		default:
			dst = append(dst, '_')
		}
	}
	return dst
}
