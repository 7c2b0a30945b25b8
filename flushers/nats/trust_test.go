package nats_test

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
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/test/natsbroker"
)

// publisher may publish what allow says, and read answers if inbox.
func publisher(allow string, inbox bool) func(*server.Options) {
	return func(o *server.Options) {
		p := &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{allow, "$JS.API.>"}}}
		if !inbox {
			p.Subscribe = &server.SubjectPermission{Deny: []string{"_INBOX.>"}}
		}
		o.NoAuthUser = "us"
		o.Users = []*server.User{{Username: "us", Password: "s3cret"}, {Username: "flushline", Password: "pw", Permissions: p}}
	}
}

// The server says beside all answers that we may not publish: the Flush does not wait for
// its timeout.
func TestARightThatIsMissing(t *testing.T) {
	t.Parallel()
	s := newShelf(t, publisher("other.>", true))
	s.make(nil)
	l := begin(t, s.options(map[string]any{"user": "flushline", "password": "pw", "timeout": "60s"}))
	began := time.Now()
	l.want(l.flush(l.batch(3)), flushers.ClassMisconfigured, "grant the user of this entry the right to publish")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the Flush took %v", took)
	}
	s.holds(0)
}

// Rights are taken away and given back while the connection is up.
func TestRightsThatAreRevoked(t *testing.T) {
	t.Parallel()
	s := newShelf(t, publisher("logs.>", true))
	s.make(nil)
	l := begin(t, s.options(map[string]any{"user": "flushline", "password": "pw"}))
	l.until(l.batch(1))
	s.Stop()
	l.becomes(false)
	natsbroker.Reconfigure(s.Broker, publisher("other.>", true))
	s.Start()
	l.becomes(true)
	b := l.batch(2)
	l.want(l.flush(b), flushers.ClassMisconfigured, "permissions violation")
	s.Stop()
	natsbroker.Reconfigure(s.Broker, publisher("logs.>", true))
	s.Start()
	l.until(b)
	s.holds(3)
}

// A password that is changed under us makes a connection that nobody takes back: Flush
// says so, and goes on when it is right again.
func TestCredentialsThatAreRevoked(t *testing.T) {
	t.Parallel()
	s := newShelf(t, publisher("logs.>", true))
	s.make(nil)
	l := begin(t, s.options(map[string]any{"user": "flushline", "password": "pw"}))
	l.until(l.batch(1))
	s.Stop()
	l.becomes(false)
	natsbroker.Reconfigure(s.Broker, func(o *server.Options) { o.Users[1].Password = "another" })
	s.Start()
	l.becomes(true)
	b := l.batch(2)
	l.want(l.flush(b), flushers.ClassMisconfigured, "refused the credentials")
	s.Stop()
	natsbroker.Reconfigure(s.Broker, func(o *server.Options) { o.Users[1].Password = "pw" })
	s.Start()
	l.until(b)
	s.holds(3)
}

// The server comes back with a certificate of another authority; then our file of
// authorities is changed, too.
func TestACertificateThatIsChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	first, second := authority(t, ca), authority(t, filepath.Join(dir, "second.pem"))
	with := func(c tls.Certificate) func(*server.Options) {
		return func(o *server.Options) {
			o.TLSConfig, o.TLSTimeout = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{c}}, 20
		}
	}
	s := newShelfAs(t, []natsgo.Option{natsgo.Secure(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true})}, with(first))
	s.make(nil)
	l := begin(t, s.options(map[string]any{"tls": map[string]any{"ca": ca}}))
	l.until(l.batch(1))
	s.Stop()
	l.becomes(false)
	natsbroker.Reconfigure(s.Broker, with(second))
	s.Start()
	l.becomes(true)
	b := l.batch(2)
	l.want(l.flush(b), flushers.ClassMisconfigured, "the TLS handshake failed: check tls.ca")
	text, err := os.ReadFile(filepath.Join(dir, "second.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l.until(b)
	s.holds(3)
}

// authority is a certificate that is its own, and writes what has to be trusted.
func authority(t *testing.T, file string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: filepath.Base(file)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A server says that it will go and closes its connections while batches are published:
// what was under way is sent again, and nothing comes twice.
func TestAServerInLameDuckMode(t *testing.T) {
	t.Parallel()
	s := newShelf(t, func(o *server.Options) { o.LameDuckDuration, o.LameDuckGracePeriod = time.Second, 100*time.Millisecond })
	s.make(nil)
	l := begin(t, s.options(nil))
	l.until(l.batch(10))
	back := make(chan struct{})
	go func() {
		defer close(back)
		s.Server.LameDuckShutdown()
		s.Start()
	}()
	n := 10
	for over := false; !over; {
		l.until(l.batch(10))
		n += 10
		select {
		case <-back:
			over = true
		case <-time.After(5 * time.Millisecond):
		}
	}
	l.until(l.batch(10))
	s.holds(n + 10)
}
