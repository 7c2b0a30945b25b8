//go:build unix

package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// certificate is one for 127.0.0.1 and example.com, in PEM files. It is its own
// authority.
type certificate struct{ cert, key string }

// certified is that of a server with TLS.
func certified(t *testing.T, s *httptest.Server) *certificate {
	t.Helper()
	dir := t.TempDir()
	c := &certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	key, err := x509.MarshalPKCS8PrivateKey(s.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		c.cert: {Type: "CERTIFICATE", Bytes: s.Certificate().Raw},
		c.key:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// newCertificate is one for a server of another kind.
func newCertificate(t *testing.T) *certificate {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return certified(t, s)
}
