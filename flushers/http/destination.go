package http

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
)

// TLS says how an https server is trusted.
type TLS struct {
	CA                 string `option:"ca" alias:"CAFile" help:"PEM file of the authorities to trust instead of the system's."`
	Cert               string `option:"cert" alias:"CertFile" help:"PEM file of our certificate; read again for each connection, so it may be renewed."`
	Key                string `option:"key" alias:"KeyFile" help:"PEM file of the certificate's key."`
	ServerName         string `option:"server_name" help:"Name that the server's certificate must carry; default: the host of url."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"Trust any certificate. Everybody on the way can then read and change the logs."`
}

// destination is the connections to one host, shared by the lanes of a process.
type destination struct {
	client     *nethttp.Client
	transport  *nethttp.Transport
	unreadyTil atomic.Int64 // of package clock; from a connection that could not be made
}

func (d *destination) Close() error {
	d.transport.CloseIdleConnections()
	return nil
}

// connect joins the destination of the same host and connection options.
func (f *Flusher) connect(c flushers.Context) (*destination, func(), error) {
	u, err := url.Parse(f.URL)
	if err != nil {
		return nil, nil, flushers.Misconfigured(err)
	}
	options, err := json.Marshal([]any{u.Scheme, u.Host, f.TLS, f.MaxIdleConns})
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(options)
	key := "http:" + hex.EncodeToString(sum[:])
	v, release, err := c.Shared(key, func() (io.Closer, error) { return newDestination(&f.TLS, f.MaxIdleConns) })
	if err != nil {
		return nil, nil, flushers.Misconfigured(err)
	}
	d, ok := v.(*destination)
	if !ok {
		release()
		return nil, nil, fmt.Errorf("couldn't share the connections to %s: another kind uses their key with a %T", f.target, v)
	}
	return d, release, nil
}

func newDestination(o *TLS, idle int) (*destination, error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	t := &nethttp.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // answers are read only for their first bytes
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &destination{
		client:    &nethttp.Client{Transport: t, CheckRedirect: follow},
		transport: t,
	}, nil
}

// follow goes along with a redirect that keeps the method and the origin. Any
// other is an answer: a POST that becomes a GET stores nothing, and another host
// must not see our credentials.
func follow(req *nethttp.Request, via []*nethttp.Request) error {
	first := via[0]
	same := req.Method == first.Method && req.URL.Scheme == first.URL.Scheme && req.URL.Host == first.URL.Host
	if !same || len(via) > 5 {
		return nethttp.ErrUseLastResponse
	}
	return nil
}

func (o *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName, InsecureSkipVerify: o.InsecureSkipVerify}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("couldn't read tls.ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("couldn't read tls.ca: %s holds no certificate in PEM", o.CA)
		}
	}
	if o.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
			if err != nil {
				return nil, fmt.Errorf("couldn't load tls.cert and tls.key: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

const refusedFor = time.Second

// failed classes an error that came without an answer.
func (d *destination) failed(ctx context.Context, target string, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the URL around it may hold a secret in its query
	}
	err = fmt.Errorf("couldn't post to %s: %w", target, err)
	if ctx.Err() != nil {
		return err
	}
	if distrusted(err) {
		return flushers.Misconfigured(err)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		d.unreadyTil.Store(clock.Now() + int64(refusedFor))
	}
	return err
}

// distrusted finds the failures of TLS that no retry mends: we do not trust the
// server, it does not trust us, or it does not speak TLS.
func distrusted(err error) bool {
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var op *net.OpError
	return errors.As(err, &verify) || errors.Is(err, nethttp.ErrSchemeMismatch) ||
		errors.As(err, &record) && record.Conn != nil || // its first words are no TLS
		errors.As(err, &op) && op.Op == "remote error" && !damaged(op.Err.Error()) // how crypto/tls names an alert
}

// damaged says that an alert is about bytes that were changed on their way, as
// crypto/tls words it.
func damaged(alert string) bool {
	for _, about := range []string{"bad record MAC", "error decrypting message", "error decoding message", "unexpected message", "record overflow"} {
		if strings.HasSuffix(alert, about) {
			return true
		}
	}
	return false
}
