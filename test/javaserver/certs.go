package javaserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certs are paths of PEM files. The server's certificate is for 127.0.0.1 and
// localhost; that of clients is for CN=[User].
type Certs struct {
	CA          string // what clients trust; signs both others
	OtherCA     string // a CA that signed nothing here
	Client, Key string // a client's certificate and key, where the server asks for one
	Server      string // the server's certificate and key in one file
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// User is the name in the client's certificate.
const User = "flushline"

// MakeCerts writes new authorities and certificates into dir, over those that are there.
func MakeCerts(dir string) (Certs, error) {
	c := Certs{
		CA:      filepath.Join(dir, "ca.pem"),
		OtherCA: filepath.Join(dir, "other-ca.pem"),
		Client:  filepath.Join(dir, "client.pem"),
		Key:     filepath.Join(dir, "client.key"),
		Server:  filepath.Join(dir, "server.pem"),
	}
	ca, err := newAuthority("flushline test CA")
	if err != nil {
		return c, err
	}
	other, err := newAuthority("another test CA")
	if err != nil {
		return c, err
	}
	serverCert, serverKey, err := ca.sign("localhost", x509.ExtKeyUsageServerAuth)
	if err != nil {
		return c, err
	}
	clientCert, clientKey, err := ca.sign(User, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return c, err
	}
	for path, content := range map[string][]byte{
		c.CA:      ca.pem,
		c.OtherCA: other.pem,
		c.Client:  clientCert,
		c.Key:     clientKey,
		c.Server:  bytes.Join([][]byte{serverKey, serverCert, ca.pem}, nil),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return c, fmt.Errorf("couldn't write a certificate: %w", err)
		}
	}
	return c, nil
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("couldn't make a key: %w", err)
	}
	cert := template(name)
	cert.IsCA, cert.BasicConstraintsValid, cert.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("couldn't make %s: %w", name, err)
	}
	return &authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// sign makes a certificate for loopback and its key, both PEM.
func (a *authority) sign(name string, usage x509.ExtKeyUsage) (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't make a key: %w", err)
	}
	t := template(name)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{usage}
	t.DNSNames, t.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, k.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't sign the certificate of %s: %w", name, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't encode the key of %s: %w", name, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), nil
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}
