package elasticsearch

import (
	"encoding/base64"
	"fmt"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/option"
)

// Validate finds what a single option cannot tell.
func (f *Flusher) Validate() []option.Problem {
	problems := f.validateAddresses()
	problems = append(problems, names.Problems("index", &f.Index, f.Options, names.Index)...)
	problems = append(problems, f.validateAccess()...)
	j := f.json()
	problems = append(problems, j.Problems()...)
	if !f.IDs && f.Operation == Index {
		problems = append(problems, option.Warnf("operation", "without ids nothing is ever written again: operation index has no effect"))
	}
	if len(f.Pipeline) > 0 && strings.ContainsAny(f.Pipeline, " \t\r\n") {
		problems = append(problems, option.Errorf("pipeline", "%q is no name of a pipeline", f.Pipeline))
	}
	return problems
}

func (f *Flusher) validateAddresses() []option.Problem {
	if len(f.Addresses) == 0 {
		return []option.Problem{option.Errorf("addresses", "there is none: write [http://127.0.0.1:9200]")}
	}
	var problems []option.Problem
	add := func(i int, format string, args ...any) {
		problems = append(problems, option.Errorf(fmt.Sprintf("addresses[%d]", i), format, args...))
	}
	seen := map[string]bool{}
	for i, a := range f.Addresses {
		u, err := url.Parse(a)
		switch {
		case err != nil || u.Host == "":
			add(i, "this is no URL with a host: write it like https://es.example.com:9200")
		case u.Scheme != "http" && u.Scheme != "https":
			add(i, "the scheme %q is not known: use http or https", u.Scheme)
		case u.User != nil:
			add(i, "credentials in a URL would be shown: use user and password")
		case u.RawQuery != "" || u.Fragment != "":
			add(i, "an address ends with its path")
		case seen[trimmed(a)]:
			add(i, "%s stands twice", trimmed(a))
		}
		seen[trimmed(a)] = true
	}
	return problems
}

func trimmed(address string) string { return strings.TrimRight(address, "/") }

func (f *Flusher) validateAccess() []option.Problem {
	problems := f.TLS.Problems("tls")
	user, password := f.login()
	if !f.APIKey.IsZero() && (user != "" || !password.IsZero()) {
		problems = append(problems, option.Errorf("api_key", "only one of user and password, and api_key may be set"))
	}
	if user == "" && !password.IsZero() {
		problems = append(problems, option.Errorf("user", "password needs it"))
	}
	if strings.Contains(user, ":") {
		problems = append(problems, option.Errorf("user", "it cannot have a colon"))
	}
	if strings.IndexFunc(f.APIKey.Reveal(), func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
		problems = append(problems, option.Errorf("api_key", "it is not as the server gave it out (encoded): visible ASCII without spaces"))
	}
	return append(problems, f.Authentication.problems(f)...)
}

// problem is the first error of the options.
func (f *Flusher) problem() error {
	for _, p := range f.Validate() {
		if !p.Warning {
			return flushers.Misconfigured(fmt.Errorf("couldn't start the elasticsearch flusher: %s: %s", p.Path, p.Text()))
		}
	}
	return nil
}

// login is the user of basic authentication.
func (f *Flusher) login() (user string, password option.Secret) {
	if p := f.Authentication.plain(); p != nil && f.User == "" && f.Password.IsZero() {
		return p.Username, p.Password
	}
	return f.User, f.Password
}

// trust is how servers are trusted.
func (f *Flusher) trust() trust.TLS {
	if t := f.Authentication.tls(); t != nil && f.TLS == (trust.TLS{}) {
		return trust.TLS{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile, InsecureSkipVerify: t.InsecureSkipVerify}
	}
	return f.TLS
}

// header is what all requests share.
func (f *Flusher) header() nethttp.Header {
	h := nethttp.Header{"User-Agent": {"flushline"}, "Content-Type": {"application/x-ndjson"}, "Accept": {"application/json"}}
	user, password := f.login()
	switch {
	case !f.APIKey.IsZero():
		h.Set("Authorization", "ApiKey "+f.APIKey.Reveal())
	case user != "":
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password.Reveal())))
	}
	if f.Compression == "gzip" {
		h.Set("Content-Encoding", "gzip")
	}
	return h
}

// answered are the parts of an answer that are read: without the rest it is a tenth.
const answered = "error,status,errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"

// query is that of all requests. The server gives up a little before we do, so that it
// says why.
func (f *Flusher) query() string {
	q := url.Values{"filter_path": {answered}, "timeout": {fmt.Sprintf("%dms", max(1, f.Timeout.Milliseconds()*2/3))}}
	if f.Pipeline != "" {
		q.Set("pipeline", f.Pipeline)
	}
	return q.Encode()
}

// Bound is the option that flush_timeout may make useless.
func (f *Flusher) Bound() (name string, limit time.Duration) { return "timeout", f.Timeout }
