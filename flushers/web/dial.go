package web

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/flushline/flushline/flushers/trust"
)

type dialer struct {
	files *trust.Client
	net   net.Dialer
}

// dialTLS makes a connection with the files as they are now; net/http would keep those
// of the first connection.
func (d *dialer) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	config, err := d.files.Config(host)
	if err != nil {
		return nil, err
	}
	config.NextProtos = []string{"h2", "http/1.1"}
	plain, err := d.net.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	secured := tls.Client(plain, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	return secured, nil
}
