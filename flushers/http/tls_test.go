package http

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/faultproxy"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, pool := selfSigned(t, dir)
	s := httptest.NewUnstartedServer(status(200))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	s.StartTLS()
	t.Cleanup(s.Close)

	for name, tc := range map[string]struct {
		set  func(*TLS)
		want flushers.Class
	}{
		"trusted with certificate": {func(o *TLS) { o.CA, o.Cert, o.Key = cert, cert, key }, flushers.ClassNone},
		"not verified":             {func(o *TLS) { o.InsecureSkipVerify, o.Cert, o.Key = true, cert, key }, flushers.ClassNone},
		"unknown authority":        {func(o *TLS) { o.Cert, o.Key = cert, key }, flushers.ClassMisconfigured},
		"no certificate of ours":   {func(o *TLS) { o.CA = cert }, flushers.ClassMisconfigured},
		"another name":             {func(o *TLS) { o.CA, o.Cert, o.Key, o.ServerName = cert, cert, key, "other.example" }, flushers.ClassMisconfigured},
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
	dir := t.TempDir()
	cert, key, _ := selfSigned(t, dir)
	s := httptest.NewUnstartedServer(status(200))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	p := faultproxy.New(t, s.Listener.Addr().String(), nil)
	f := start(t, new(flushertest.Process), "https://"+p.Addr(), func(f *Flusher) { f.TLS.CA, f.TLS.ServerName, f.Timeout = cert, "127.0.0.1", 2*time.Second })
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
	for _, o := range []TLS{{CA: "missing.pem"}, {CA: empty}, {Cert: empty, Key: empty}} {
		f := newFlusher()
		f.URL, f.TLS = "https://127.0.0.1", o
		if class, _ := flushers.Classify(f.Init(flushertest.NewContext(t, key))); class != flushers.ClassMisconfigured {
			t.Errorf("%+v: Init is %v, want misconfigured", o, class)
		}
	}
}

// selfSigned writes a certificate for 127.0.0.1 that serves both sides.
func selfSigned(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "flushline test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(cert, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return cert, key, pool
}
