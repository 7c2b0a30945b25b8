package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/flushline/flushline/option"
)

// TLSConfig says how brokers are verified and how we show who we are. Files are
// read again for new connections when they have changed.
type TLSConfig struct {
	Enabled            bool   `option:"enabled" help:"Use TLS with the system's certificate authorities; any other field of tls says it, too."`
	CA                 string `option:"ca" help:"PEM file with the certificate authorities to trust; default: the system's."`
	Cert               string `option:"cert" help:"PEM file with the client certificate."`
	Key                string `option:"key" help:"PEM file with the client certificate's key."`
	ServerName         string `option:"server_name" help:"Name the brokers' certificates must carry; default: the host of each broker."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"Accept any certificate: whoever answers can read and forge everything."`
}

// SASLConfig names one user.
type SASLConfig struct {
	Mechanism string        `option:"mechanism" enum:"plain,scram-sha-256,scram-sha-512" help:"The mechanism; none when empty."`
	User      string        `option:"user" help:"User name."`
	Password  option.Secret `option:"password,secret" help:"Password of the user."`
}

// trust is TLSConfig with what its files held when they were read last.
type trust struct {
	cfg TLSConfig

	mu    sync.Mutex
	seen  [3]stamp // of ca, cert, key
	roots *x509.CertPool
	cert  *tls.Certificate
}

// stamp tells one state of a file from another.
type stamp struct {
	changed time.Time
	size    int64
}

func newTrust(cfg *TLSConfig) (*trust, error) {
	t := &trust{cfg: *cfg}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return nil, fmt.Errorf("%w: tls.cert and tls.key go together", ErrConfig)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t, t.refresh()
}

func (t *trust) config(addr string) (*tls.Config, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.refresh(); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if t.cfg.ServerName != "" {
		host = t.cfg.ServerName
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: t.roots, InsecureSkipVerify: t.cfg.InsecureSkipVerify}
	if t.cert != nil {
		c.Certificates = []tls.Certificate{*t.cert}
	}
	return c, nil
}

// handshake makes a TLS connection of raw. Whether the broker accepts our
// certificate may show only with its first answer (TLS 1.3).
func (t *trust) handshake(ctx context.Context, raw net.Conn, addr string) (net.Conn, error) {
	cfg, err := t.config(addr)
	if err != nil {
		return nil, err
	}
	secured := tls.Client(raw, cfg)
	return secured, secured.HandshakeContext(ctx)
}

// refresh reads the files that changed. A pair that is being replaced may not fit
// together for a moment: the old one is used until it does.
func (t *trust) refresh() error {
	now := [3]stamp{stampOf(t.cfg.CA), stampOf(t.cfg.Cert), stampOf(t.cfg.Key)}
	if t.cfg.CA != "" && (t.roots == nil || now[0] != t.seen[0]) {
		roots, err := readRoots(t.cfg.CA)
		if err != nil && t.roots == nil {
			return err
		}
		if err == nil {
			t.roots, t.seen[0] = roots, now[0]
		}
	}
	if t.cfg.Cert != "" && (t.cert == nil || now[1] != t.seen[1] || now[2] != t.seen[2]) {
		cert, err := tls.LoadX509KeyPair(t.cfg.Cert, t.cfg.Key)
		if err != nil && t.cert == nil {
			return fmt.Errorf("%w: couldn't load tls.cert and tls.key: %w", ErrConfig, err)
		}
		if err == nil {
			t.cert, t.seen[1], t.seen[2] = &cert, now[1], now[2]
		}
	}
	return nil
}

// stampOf a file that cannot be read is that of no file.
func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: couldn't read tls.ca: %w", ErrConfig, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: couldn't read tls.ca: %s holds no certificate in PEM", ErrConfig, file)
	}
	return roots, nil
}

// isTLSFailure says that the two sides did not trust or understand each other.
func isTLSFailure(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &verify) || errors.As(err, &record) || alert(err) != nil
}

// alert is what a side said when it ended the handshake, in crypto/tls's words.
func alert(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return op.Err
	}
	return nil
}
