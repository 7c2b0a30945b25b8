package http

import (
	"fmt"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Validate finds what a single option cannot tell.
func (f *Flusher) Validate() []option.Problem {
	problems := append(f.validateURL(), f.Problems()...)
	problems = append(problems, f.validateHeaders()...)
	t, wrong := f.compile()
	problems = append(problems, wrong...)
	if t.logs && f.Format == formats.LogGroup {
		problems = append(problems, option.Errorf("format", "a LogGroup is sent as it is, whatever its logs say: with format loggroup, "+
			"placeholders may be of the key, {host} and {tag.x}, and not {content.x} or {date:...}"))
	}
	for _, code := range f.Success {
		if code < 200 || code >= 300 && code < 400 || code >= 500 {
			problems = append(problems, option.Errorf("success", "%d cannot mean stored: use 200 to 299, or 400 to 499 such as 409", code))
		}
	}
	if f.MaxIdleConns < f.InFlight {
		problems = append(problems, option.Warnf("max_idle_conns", "%d connections are kept open and %d requests may run: the others connect anew each time", f.MaxIdleConns, f.InFlight))
	}
	return append(problems, f.TLS.Problems("tls")...)
}

func (f *Flusher) validateHeaders() []option.Problem {
	var problems []option.Problem
	auth := 0
	for name, value := range f.Headers {
		if strings.EqualFold(name, "Authorization") {
			auth++
		}
		if err := checkHeader(name, value.Reveal()); err != nil {
			problems = append(problems, option.Errorf("headers", "%v", err))
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
	if err := checkHeader(f.Idempotency, ""); err != nil && f.Idempotency != "" {
		problems = append(problems, option.Errorf("idempotency_header", "%v", err))
	}
	for name, value := range map[string]string{"signature_header": f.Sign.SignatureHeader, "timestamp_header": f.Sign.TimestampHeader} {
		if err := checkHeader(value, ""); err != nil {
			problems = append(problems, option.Errorf("sign."+name, "%v", err))
		}
	}
	return problems
}

func (f *Flusher) validateURL() []option.Problem {
	path, query, _ := strings.Cut(pathOf(f.URL), "?")
	if path != "" && path[0] != '/' || strings.Contains(query, "{") {
		return []option.Problem{option.Errorf("url", "placeholders may stand in its path only: those of its query belong into the option query")}
	}
	t, err := protocol.CompileTemplate(path)
	if err != nil {
		return nil // compile says it
	}
	u, err := url.Parse(f.origin() + t.Shape("x"))
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

// Bound is the option that flush_timeout may make useless.
func (f *Flusher) Bound() (name string, limit time.Duration) { return "timeout", f.Timeout }
