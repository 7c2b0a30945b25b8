// Package trust is how a kind's connections use TLS: whom they trust and who we are.
// The files are read again for each connection, so that certificates and authorities
// are renewed without a restart.
package trust

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/flushline/flushline/option"
)

// TLS are the options of a kind, below its key tls. The zero value trusts the system's
// authorities and has no certificate.
type TLS struct {
	CA                 string `option:"ca" alias:"CAFile" help:"PEM file of the authorities to trust instead of the system's; read again for each connection."`
	Cert               string `option:"cert" alias:"CertFile" help:"PEM file of our certificate; read again for each connection, so it may be renewed."`
	Key                string `option:"key" alias:"KeyFile" help:"PEM file of the certificate's key."`
	ServerName         string `option:"server_name" help:"Name that the server's certificate must carry; default: the host that is connected to."`
	InsecureSkipVerify bool   `option:"insecure_skip_verify" help:"Trust any certificate. Everybody on the way can then read and change the logs."`
}

// Problems are those that a single option cannot tell; prefix is the key that the
// options stand below ("tls").
func (t *TLS) Problems(prefix string) []option.Problem {
	if (t.Cert == "") != (t.Key == "") {
		return []option.Problem{option.Errorf(prefix+".cert", "cert and key need each other")}
	}
	return nil
}

// Client makes the configurations of connections. Safe for concurrent use.
type Client struct {
	options TLS
	mu      sync.Mutex
	pem     []byte // that roots was made of
	roots   *x509.CertPool
}

// Client reads all files once, so that one which cannot be used is told at the start.
func (t *TLS) Client() (*Client, error) {
	c := &Client{options: *t}
	if _, err := c.Config("localhost"); err != nil {
		return nil, err
	}
	return c, nil
}

// Config is that of one connection to a host, a name or an IP address without port. It
// reads the files as they are now. What fails then is [Distrusted].
func (c *Client) Config(host string) (*tls.Config, error) {
	o := &c.options
	if o.ServerName != "" {
		host = o.ServerName
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, InsecureSkipVerify: o.InsecureSkipVerify}
	if o.CA != "" {
		roots, err := c.authorities()
		if err != nil {
			return nil, &fileError{err}
		}
		config.RootCAs = roots
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, &fileError{fmt.Errorf("couldn't load tls.cert and tls.key: %w", err)}
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// authorities parses the file only when it says something else than the last time.
func (c *Client) authorities() (*x509.CertPool, error) {
	pem, err := os.ReadFile(c.options.CA)
	if err != nil {
		return nil, fmt.Errorf("couldn't read tls.ca: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.roots != nil && bytes.Equal(pem, c.pem) {
		return c.roots, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("couldn't read tls.ca: %s holds no certificate in PEM", c.options.CA)
	}
	c.pem, c.roots = pem, roots
	return roots, nil
}

// fileError is about a file of ours.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

func ofFile(err error) bool {
	var file *fileError
	return errors.As(err, &file)
}
