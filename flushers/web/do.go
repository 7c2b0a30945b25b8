package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/trust"
)

// Answer is what a server said. The connection has been given back.
type Answer struct {
	Status int
	Header nethttp.Header
	Body   []byte // at most Options.MaxAnswer
	Whole  bool   // Body is all that the server had to say: it ended in time and below the limit
	Closes bool   // the server closes the connection
	Major  int    // the version of HTTP: 1 or 2
}

// drainLimit is how much of an answer beyond MaxAnswer is read so that the connection
// can be used again.
const drainLimit = 64 << 10

// Do sends a request and reads the answer, whatever its status. The request is bound
// to ctx. Its body should be of a type that net/http can read again (bytes.Reader): a
// connection that turns out to be closed costs no attempt then.
//
// An error means that no status came; it is Misconfigured if TLS is the reason
// (trust.Distrusted), and a plain one otherwise: the request may have been carried out.
// It names neither query nor credentials. An answer that ends too early, late or never
// has Whole false, and its status stands.
func (d *Destination) Do(ctx context.Context, req *nethttp.Request) (*Answer, error) {
	return d.do(ctx, d.client, req)
}

// DoAlone is Do on a connection that no request was on before, nor will be.
func (d *Destination) DoAlone(ctx context.Context, req *nethttp.Request) (*Answer, error) {
	own := &nethttp.Client{CheckRedirect: follow, Transport: d.transport.Clone()}
	defer own.CloseIdleConnections()
	return d.do(ctx, own, req)
}

func (d *Destination) do(ctx context.Context, client *nethttp.Client, req *nethttp.Request) (*Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, d.failed(ctx, req, err)
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header, Whole: true, Closes: resp.Close, Major: resp.ProtoMajor}
	if resp.ContentLength != 0 {
		slow := time.AfterFunc(d.options.AnswerTime, cancel)
		defer slow.Stop()
		a.Body, a.Whole = readBody(resp, d.options.MaxAnswer)
	}
	return a, nil
}

// readBody reads the beginning of an answer and, so that the connection can be used
// again, a little more.
func readBody(resp *nethttp.Response, most int) (said []byte, whole bool) {
	if n := resp.ContentLength; n > 0 && n <= int64(most) {
		said = make([]byte, n)
		got, err := io.ReadFull(resp.Body, said)
		return said[:got], err == nil
	}
	said, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)))
	if err != nil {
		return said, false
	}
	more, err := io.CopyN(io.Discard, resp.Body, drainLimit)
	return said, more == 0 && errors.Is(err, io.EOF)
}

// failed classes an error that came without an answer.
func (d *Destination) failed(ctx context.Context, req *nethttp.Request, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the URL around it may hold a secret in its query
	}
	err = fmt.Errorf("couldn't get an answer to %s %s: %w", req.Method, Shown(req.URL), err)
	if ctx.Err() != nil {
		return err
	}
	if trust.Distrusted(err) {
		return flushers.Misconfigured(err)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		d.Hold(refusedFor)
	}
	return err
}

// Shown is a URL without what may hold a secret: user, query and fragment.
func Shown(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// farFuture caps a Retry-After; flushers.RetryAfter caps it further.
const farFuture = 24 * time.Hour

// RetryAfter reads the header of that name: seconds or an HTTP date, at most a day. What
// is not in the future or cannot be read says nothing: the worker's own backoff is
// better than at once.
func RetryAfter(h nethttp.Header, now time.Time) (time.Duration, bool) {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if t, err := nethttp.ParseTime(s); err == nil {
		return min(t.Sub(now), farFuture), t.After(now)
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return time.Duration(min(seconds, int64(farFuture/time.Second))) * time.Second, seconds > 0
}
