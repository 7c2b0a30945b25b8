// Package web is the HTTP connections of the kinds that speak it: shared by the lanes
// of a process, with TLS files that are read again, no way to another origin, and
// answers of bounded size and time.
//
// Proxies of the environment are not used. Redirects are followed only to the same
// origin and with the same method; any other is an answer like all others, since a POST
// that becomes a GET stores nothing and another host must not see our credentials.
package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/internal/clock"
)

// Options say how to connect. Who has the same shares the connections.
type Options struct {
	BaseURL      string        // scheme and host are used; requests carry their own URL of that origin
	TLS          trust.TLS     // of https
	MaxIdleConns int           // kept open while no request runs; 0: 2
	MaxConns     int           // open at a time, requests wait for one; 0: no limit
	IdleTimeout  time.Duration // after which an idle connection is closed; 0: 90 s
	MaxAnswer    int           // bytes of an answer that Do returns; 0: 1 KiB
	AnswerTime   time.Duration // how long an answer may take from its header to its end; 0: 2 s
}

const (
	dialTime   = 10 * time.Second // of a connection, and again of its TLS
	refusedFor = time.Second      // unready after a connection that could not be made
)

func (o *Options) defaults() {
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 90 * time.Second
	}
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 1 << 10
	}
	if o.AnswerTime <= 0 {
		o.AnswerTime = 2 * time.Second
	}
}

// Destination is the connections to one origin. Safe for concurrent use.
type Destination struct {
	client     *nethttp.Client
	transport  *nethttp.Transport // of client
	options    Options
	unreadyTil atomic.Int64 // of package clock
}

// Share joins the destination of the same kind, origin and options, counted in
// c.Shared; release leaves it. It does not dial. Its errors are Misconfigured.
func Share(c flushers.Context, kind string, o Options) (d *Destination, release func(), err error) {
	u, err := url.Parse(o.BaseURL)
	if err != nil {
		return nil, nil, flushers.Misconfigured(err)
	}
	o.defaults()
	o.BaseURL = u.Scheme + "://" + u.Host
	options, err := json.Marshal(o)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(options)
	v, release, err := c.Shared(kind+":"+hex.EncodeToString(sum[:]), func() (io.Closer, error) { return open(o) })
	if err != nil {
		return nil, nil, flushers.Misconfigured(err)
	}
	d, ok := v.(*Destination)
	if !ok {
		release()
		return nil, nil, fmt.Errorf("couldn't share the connections to %s: their key is used with a %T", o.BaseURL, v)
	}
	return d, release, nil
}

func open(o Options) (*Destination, error) {
	files, err := o.TLS.Client()
	if err != nil {
		return nil, err
	}
	dialer := &dialer{files: files, net: net.Dialer{Timeout: dialTime}}
	transport := &nethttp.Transport{
		DialContext:            dialer.net.DialContext,
		DialTLSContext:         dialer.dialTLS,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // answers are short
		MaxIdleConnsPerHost:    o.MaxIdleConns,
		MaxConnsPerHost:        o.MaxConns,
		IdleConnTimeout:        o.IdleTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &Destination{options: o, transport: transport, client: &nethttp.Client{CheckRedirect: follow, Transport: transport}}, nil
}

// Ready is false for a second after a connection could not be made and while a Hold
// lasts. It turns true by itself and costs nothing.
func (d *Destination) Ready() bool { return clock.Now() >= d.unreadyTil.Load() }

// Hold makes the destination unready for that long, for all who share it.
func (d *Destination) Hold(wait time.Duration) {
	til := clock.Now() + int64(wait)
	for {
		old := d.unreadyTil.Load()
		if old >= til || d.unreadyTil.CompareAndSwap(old, til) {
			return
		}
	}
}

// CloseIdle closes the connections that no request runs on.
func (d *Destination) CloseIdle() { d.client.CloseIdleConnections() }

// Close is called by the last release.
func (d *Destination) Close() error {
	d.CloseIdle()
	return nil
}

// follow goes along with a redirect that keeps the method and the origin.
func follow(req *nethttp.Request, via []*nethttp.Request) error {
	first := via[0]
	same := req.Method == first.Method && req.URL.Scheme == first.URL.Scheme && req.URL.Host == first.URL.Host
	if !same || len(via) > 5 {
		return nethttp.ErrUseLastResponse
	}
	return nil
}
