package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

// The exchange of RFC 7677, section 3.
func TestSCRAMIsThatOfItsRFC(t *testing.T) {
	t.Parallel()
	const nonce = "rOprNGfwEbeRWgbNEkqO"
	answers := []string{
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	}
	want := []string{
		"n,,n=user,r=" + nonce,
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	}
	try := func() error {
		round := 0
		return prove(conversation(t, "pencil", nonce), func(words []byte) ([]byte, error) {
			if string(words) != want[round] {
				t.Errorf("round %d: said %s", round, words)
			}
			round++
			return []byte(answers[round-1]), nil
		})
	}
	if err := try(); err != nil {
		t.Error(err)
	}
	for _, forged := range []string{"v=AAAA", "", "v=", "e=other-error", "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="} {
		answers[1] = forged
		if err := try(); err == nil || !strings.Contains(err.Error(), "did not prove") {
			t.Errorf("a broker that says %q for the password gave %v", forged, err)
		}
	}
}

func conversation(t *testing.T, password, nonce string) *scram.ClientConversation {
	t.Helper()
	c, err := scram.SHA256.NewClientUnprepped("user", password, "")
	if err != nil {
		t.Fatal(err)
	}
	return c.WithNonceGenerator(func() string { return nonce }).NewConversation()
}

func TestChallengesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "e=other-error", "r=theirs,s=AAAA,i=4096", "r=ours+,s=?,i=4096", "m=x,r=ours+,s=AAAA,i=4096",
		"r=ours+,s=AAAA,i=0", "r=ours+,s=AAAA,i=-1", "r=ours+,s=AAAA,i=1024", "r=ours+,s=AAAA,i=2000000000", "r=ours+,s=AAAA,i=+2000000000",
		"r=ours+,s=AAAA,i=99999999999999999999", "r=ours+,s=AAAA,i=x", "r=ours+,i=4096,s=AAAA",
	} {
		said := 0
		err := prove(conversation(t, "p", "ours"), func([]byte) ([]byte, error) {
			said++
			return []byte(text), nil
		})
		if err == nil || said != 1 || !strings.Contains(err.Error(), "challenge") {
			t.Errorf("%q was answered: %v", text, err)
		}
	}
}

// A connection that is lost while signing in is no refusal.
func TestCutWithinSCRAMIsACut(t *testing.T) {
	t.Parallel()
	err := prove(conversation(t, "p", "ours"), func([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF })
	if !errors.Is(err, io.ErrUnexpectedEOF) || !cut(err) {
		t.Error(err)
	}
}

// Certificates are renewed under a running program; while one of two files is
// written the pair does not fit, and the old one goes on.
func TestFilesAreReadAgainWhenTheyChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := TLSConfig{CA: filepath.Join(dir, "ca"), Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key")}
	now := time.Now()
	write := func(file string, content []byte) {
		t.Helper()
		now = now.Add(time.Second) // file systems may not tell two writes apart by time
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, now, now); err != nil {
			t.Fatal(err)
		}
	}
	first, firstKey := selfSigned(t, "first")
	second, secondKey := selfSigned(t, "second")
	write(cfg.CA, first)
	write(cfg.Cert, first)
	write(cfg.Key, firstKey)
	trust, err := newTrust(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	is := func(name string, roots []byte) {
		t.Helper()
		c, err := trust.config("kafka-1.example:9092")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Certificates[0].Leaf.Subject.CommonName; got != name || c.ServerName != "kafka-1.example" {
			t.Errorf("the certificate is that of %s, for %s", got, c.ServerName)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(roots)
		if !c.RootCAs.Equal(pool) {
			t.Errorf("the authorities are not those of the file")
		}
	}
	is("first", first)
	write(cfg.Cert, second)
	is("first", first)
	write(cfg.Key, secondKey)
	is("second", first)
	write(cfg.CA, []byte("half a fi"))
	is("second", first)
	write(cfg.CA, second)
	is("second", second)
}

func selfSigned(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
