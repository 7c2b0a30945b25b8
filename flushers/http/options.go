package http

import (
	"fmt"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Validate finds what a single option cannot tell.
func (f *Flusher) Validate() []option.Problem {
	problems := f.validateURL()
	auth := 0
	for name, value := range f.Headers {
		if strings.EqualFold(name, "Authorization") {
			auth++
		}
		if err := checkHeader(name, value.Reveal()); err != nil {
			problems = append(problems, option.Errorf("headers", "%v", err))
		}
		if templated(value.Reveal()) {
			problems = append(problems, option.Errorf("headers", "%s has a template, and this version sends headers as they stand: "+
				"write the text, or make an entry for each value", name))
		}
	}
	if f.User != "" || !f.Password.IsZero() {
		auth++
	}
	if !f.Token.IsZero() {
		auth++
	}
	if auth > 1 {
		problems = append(problems, option.Errorf("token", "only one of user and password, token, and an Authorization header may be set"))
	}
	return append(problems, f.TLS.Problems("tls")...)
}

func (f *Flusher) validateURL() []option.Problem {
	u, err := url.Parse(f.URL)
	switch {
	case err != nil || u.Host == "":
		return []option.Problem{option.Errorf("url", "this is no URL with a host: write it like https://logs.example.com/ingest")}
	case u.Scheme != "http" && u.Scheme != "https":
		return []option.Problem{option.Errorf("url", "the scheme %q is not known: use http or https", u.Scheme)}
	case u.User != nil:
		return []option.Problem{option.Errorf("url", "credentials in a URL would be shown: use user and password")}
	}
	return nil
}

// checkHeader refuses what net/http refuses at each request, and what only the
// transport may set.
func checkHeader(name, value string) error {
	if name == "" || strings.IndexFunc(name, func(r rune) bool { return !tokenRune(r) }) >= 0 {
		return fmt.Errorf("%q is no header name", name)
	}
	if strings.IndexFunc(value, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }) >= 0 {
		return fmt.Errorf("the value of %s has a control character", name)
	}
	switch nethttp.CanonicalHeaderKey(name) {
	case "Content-Length", "Transfer-Encoding", "Connection", "Content-Encoding", "Trailer":
		return fmt.Errorf("%s follows from the request and cannot be set", name)
	}
	return nil
}

func tokenRune(r rune) bool {
	return r > ' ' && r < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// prepareHeader makes what all requests of the instance share.
func (f *Flusher) prepareHeader(key protocol.Key) {
	if u, err := url.Parse(f.URL); err == nil {
		f.target = u.Scheme + "://" + u.Host + u.EscapedPath()
	}
	f.header = nethttp.Header{}
	f.header.Set("User-Agent", "flushline")
	f.header.Set(protocol.HeaderProject, headerValue(key.Project))
	f.header.Set(protocol.HeaderLogstore, headerValue(key.Logstore))
	f.header.Set(protocol.HeaderConfig, headerValue(key.Config))
	if f.encoding != protocol.EncodingNone {
		f.header.Set("Content-Encoding", f.encoding.String())
	}
	if !f.Token.IsZero() {
		f.header.Set("Authorization", "Bearer "+f.Token.Reveal())
	}
	for name, value := range f.Headers {
		if strings.EqualFold(name, "Host") {
			f.host = value.Reveal()
			continue
		}
		f.header.Set(name, value.Reveal())
	}
}

// headerValue percent-encodes what may not stand in a header, spaces and %, so
// that a logstore name cannot add a header of its own.
func headerValue(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Bound is the option that flush_timeout may make useless.
func (f *Flusher) Bound() (name string, limit time.Duration) { return "timeout", f.Timeout }
