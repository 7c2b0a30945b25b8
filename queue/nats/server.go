package nats

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/flushline/flushline/option"
)

// Server says which servers are reached and how: what reading and publishing have in
// common. The zero value names none; see DefaultServer.
type Server struct {
	URL string `option:"url" help:"Servers, comma separated: nats://host:4222, tls://host:4222." example:"nats://127.0.0.1:4222"`

	User     string        `option:"user" help:"User name."`
	Password option.Secret `option:"password,secret" help:"Password of the user."`
	Token    option.Secret `option:"token,secret" help:"Authentication token."`
	NKey     string        `option:"nkey" help:"File with the NKey seed; read again at each reconnect." example:"/etc/flushline/user.nk"`
	Creds    string        `option:"creds" help:"Credentials file (JWT and seed); read again at each reconnect." example:"/etc/flushline/user.creds"`
	TLS      TLSConfig     `option:"tls" help:"TLS; used if a field is set or a URL begins with tls://."`

	Domain    string `option:"domain" help:"JetStream domain, when the stream lies behind a leaf node."`
	APIPrefix string `option:"api_prefix" help:"Prefix of the JetStream API when it is imported from another account; excludes domain." example:"JS.logs.API"`
}

// DefaultServer is a Server with the documented defaults.
func DefaultServer() Server { return Server{URL: "nats://127.0.0.1:4222"} }

// TLSConfig says how servers are verified and how we show who we are. Files are
// read again at each reconnect.
type TLSConfig struct {
	CA                 string `option:"ca" help:"PEM file with the certificate authorities to trust; default: the system's."`
	Cert               string `option:"cert" help:"PEM file with the client certificate."`
	Key                string `option:"key" help:"PEM file with the client certificate's key."`
	ServerName         string `option:"server_name" help:"Name the server's certificate must carry; default: the host of the URL."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"Accept any certificate: whoever answers can read and forge everything."`
}

func (t *TLSConfig) set() bool { return *t != TLSConfig{} }

// Check finds every contradiction that can be seen without a server. Each error begins
// with the option that it is about.
func (s *Server) Check() error {
	errs := []error{checkURL(s.URL)}
	bad := func(cond bool, text string) {
		if cond {
			errs = append(errs, errors.New(text))
		}
	}
	bad(s.Domain != "" && s.APIPrefix != "", "domain and api_prefix exclude each other")
	bad((s.TLS.Cert == "") != (s.TLS.Key == ""), "tls.cert and tls.key go together")
	bad(s.Password != option.Secret{} && s.User == "", "password is set without user")
	bad(s.credentials() > 1, "user, token, nkey and creds exclude each other")
	return errors.Join(errs...)
}

func (s *Server) credentials() int {
	n := 0
	for _, given := range []bool{s.User != "", !s.Token.IsZero(), s.NKey != "", s.Creds != ""} {
		if given {
			n++
		}
	}
	return n
}

// checkURL refuses what the client library would silently read as something else.
func checkURL(list string) error {
	urls := splitURLs(list)
	if len(urls) == 0 {
		return errors.New("url is missing: write nats://host:4222")
	}
	var errs []error
	for _, u := range urls {
		if !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		parsed, err := url.Parse(u)
		switch {
		case err != nil || parsed.Hostname() == "": // err would show the password
			errs = append(errs, fmt.Errorf("url %q is no address: write nats://host:4222", Redact(u)))
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, parsed.Scheme):
			errs = append(errs, fmt.Errorf("url %q is not one of a NATS server: write nats://%s, or tls:// or wss:// for TLS", Redact(u), parsed.Host))
		}
	}
	return errors.Join(errs...)
}

// apiPrefix ends with a dot.
func (s *Server) apiPrefix() string {
	switch {
	case s.APIPrefix != "":
		return strings.TrimSuffix(s.APIPrefix, ".") + "."
	case s.Domain != "":
		return "$JS." + s.Domain + ".API."
	}
	return "$JS.API."
}
