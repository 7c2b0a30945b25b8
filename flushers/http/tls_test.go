package http

import (
	"crypto/tls"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/internal/faultproxy"
	"github.com/flushline/flushline/internal/testcert"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	a, dir := testcert.New(t), t.TempDir()
	ca := testcert.Write(t, dir, "ca.pem", a.PEM)
	cert, key := a.Issue(t).Write(t, dir, "ours")
	s := httptest.NewUnstartedServer(status(200))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.Issue(t).TLS(t)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.Pool}
	s.StartTLS()
	t.Cleanup(s.Close)

	for name, tc := range map[string]struct {
		set  func(*trust.TLS)
		want flushers.Class
	}{
		"trusted with certificate": {func(o *trust.TLS) { o.CA, o.Cert, o.Key = ca, cert, key }, flushers.ClassNone},
		"not verified":             {func(o *trust.TLS) { o.InsecureSkipVerify, o.Cert, o.Key = true, cert, key }, flushers.ClassNone},
		"unknown authority":        {func(o *trust.TLS) { o.Cert, o.Key = cert, key }, flushers.ClassMisconfigured},
		"no certificate of ours":   {func(o *trust.TLS) { o.CA = ca }, flushers.ClassMisconfigured},
		"another name":             {func(o *trust.TLS) { o.CA, o.Cert, o.Key, o.ServerName = ca, cert, key, "other.example" }, flushers.ClassMisconfigured},
	} {
		f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { tc.set(&f.TLS) })
		if got, _ := flushers.Classify(flush(f, group("x"))); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// Bytes that are changed on their way are no matter of trust: the batch is tried again
// at once, not when somebody may have mended a configuration.
func TestDamageUnderTLSIsTriedAgain(t *testing.T) {
	t.Parallel()
	a := testcert.New(t)
	ca := testcert.Write(t, t.TempDir(), "ca.pem", a.PEM)
	s := httptest.NewUnstartedServer(status(200))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{a.Issue(t).TLS(t)}}
	s.StartTLS()
	t.Cleanup(s.Close)
	p := faultproxy.New(t, s.Listener.Addr().String(), nil)
	f := start(t, new(flushertest.Process), "https://"+p.Addr(), func(f *Flusher) { f.TLS.CA, f.TLS.ServerName, f.Timeout = ca, "127.0.0.1", 2*time.Second })
	well := func() {
		t.Helper()
		if err := flush(f, group("x")); err != nil {
			t.Fatalf("through a proxy that changes nothing: %v", err)
		}
	}
	for _, w := range []faultproxy.Way{faultproxy.ToServer, faultproxy.ToClient} {
		// The record's type, its length and what it holds. Where its version is changed the
		// server says the same as one that is too old.
		for _, at := range []int{0, 4, 5, 8, 12} {
			well()
			p.Set(w, faultproxy.Fault{Change: func(piece []byte) int {
				piece[min(at, len(piece)-1)] ^= 1
				return 1
			}})
			err := flush(f, group("x"))
			p.Heal()
			if class, _ := flushers.Classify(err); class != flushers.ClassRetry && class != flushers.ClassTimeout && err != nil {
				t.Errorf("byte %d %s: class %v (%v), want it tried again", at, w, class, err)
			}
		}
		if p.Met(w).Changed == 0 {
			t.Errorf("nothing was changed %s", w)
		}
	}
}

func TestAServerWithoutTLS(t *testing.T) {
	t.Parallel()
	plain := serve(t, status(200))
	f := start(t, new(flushertest.Process), strings.Replace(plain.URL, "http:", "https:", 1), nil)
	if got, _ := flushers.Classify(flush(f, group("x"))); got != flushers.ClassMisconfigured {
		t.Errorf("class %v, want misconfigured", got)
	}
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []trust.TLS{{CA: "missing.pem"}, {CA: empty}, {Cert: empty, Key: empty}} {
		f := newFlusher()
		f.URL, f.TLS = "https://127.0.0.1", o
		if class, _ := flushers.Classify(f.Init(flushertest.NewContext(t, key))); class != flushers.ClassMisconfigured {
			t.Errorf("%+v: Init is %v, want misconfigured", o, class)
		}
	}
}
