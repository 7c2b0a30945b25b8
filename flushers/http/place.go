package http

import (
	"fmt"
	nethttp "net/http"
	"net/url"
	"os"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/protocol"
)

// place is what the placeholders of the options make of a log: where its request goes
// and with which headers. It does not change.
type place struct {
	id        string // different for different places
	url       *url.URL
	shown     string         // the URL without query, for errors
	host      string         // that the request names instead of the URL's, if not empty
	one, many nethttp.Header // of one group or log, and of several
}

// prepare makes what all requests of the instance share.
func (f *Flusher) prepare() error {
	f.templates, _ = f.compile() // Validate has found no problem
	f.header = nethttp.Header{}
	f.header.Set("User-Agent", "flushline")
	f.header.Set(protocol.HeaderProject, headerValue(f.key.Project))
	f.header.Set(protocol.HeaderLogstore, headerValue(f.key.Logstore))
	f.header.Set(protocol.HeaderConfig, headerValue(f.key.Config))
	if f.encoding != protocol.EncodingNone {
		f.header.Set("Content-Encoding", f.encoding.String())
	}
	if !f.Token.IsZero() {
		f.header.Set("Authorization", "Bearer "+f.Token.Reveal())
	}
	if f.User != "" || !f.Password.IsZero() {
		r := nethttp.Request{Header: f.header}
		r.SetBasicAuth(f.User, f.Password.Reveal())
	}
	var err error
	if f.templates.host {
		if f.hostname, err = os.Hostname(); err != nil {
			return fmt.Errorf("couldn't find the name that stands for {host}: %w", err)
		}
	}
	if !f.templates.fields {
		f.fixed, err = f.place(&protocol.TemplateVars{})
	}
	return err
}

// place fills the options for the log in v. An error is Permanent: the log has not what
// they need, or it cannot be sent there.
func (f *Flusher) place(v *protocol.TemplateVars) (*place, error) {
	t := f.templates
	v.Key, v.Host = f.key, f.hostname
	path, err := f.fill(t.path, v, appendPath, "url")
	if err != nil {
		return nil, err
	}
	for segment := range strings.SplitSeq(path, "/") {
		if (segment == "." || segment == "..") && t.any {
			return nil, flushers.Permanent(fmt.Errorf("couldn't send to a path with the segment %q, which is another path", segment))
		}
	}
	u, err := url.Parse(f.origin() + path)
	if err != nil {
		return nil, flushers.Permanent(fmt.Errorf("couldn't make the URL of a log: %w", err))
	}
	_, u.RawQuery, _ = strings.Cut(pathOf(f.URL), "?")
	for _, q := range t.query {
		value, err := f.fill(q.template, v, appendString, "query "+q.name)
		if err != nil {
			return nil, err
		}
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += url.QueryEscape(q.name) + "=" + url.QueryEscape(value)
	}
	p := &place{url: u, shown: web.Shown(u), one: f.header.Clone()}
	for _, h := range t.headers {
		value, err := f.fill(h.template, v, appendHeader, "header "+h.name)
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(h.name, "Host") {
			p.host = value
			continue
		}
		p.one.Set(h.name, value)
	}
	p.many = p.one
	if p.one.Get("Content-Type") == "" {
		p.many = p.one.Clone()
		p.one.Set("Content-Type", f.writer.ContentType())
		p.many.Set("Content-Type", f.writer.BatchContentType())
	}
	return p, nil
}

// fill renders one option. Its error names the field and not the template, which may
// hold a credential.
func (f *Flusher) fill(t *protocol.Template, v *protocol.TemplateVars, safe func([]byte, string) []byte, of string) (string, error) {
	text, err := t.AppendDefault(nil, v, safe, f.Missing)
	return string(text), missing(err, of)
}

// origin is scheme and host.
func (f *Flusher) origin() string { return strings.TrimSuffix(withoutFragment(f.URL), pathOf(f.URL)) }

func withoutFragment(rawURL string) string {
	rawURL, _, _ = strings.Cut(rawURL, "#")
	return rawURL
}
