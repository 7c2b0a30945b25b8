package http

import (
	"errors"
	"fmt"
	"io"
	nethttp "net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
)

const (
	saidLimit  = 1 << 10         // bytes of an answer that an error carries
	drainLimit = 64 << 10        // more is not worth keeping the connection
	drainFor   = 2 * time.Second // nor is waiting longer
	farFuture  = 24 * time.Hour  // of a Retry-After; RetryAfter caps it further
)

// readBody reads the beginning of an answer and, so that the connection can be
// used again, a little more.
func readBody(body io.Reader) string {
	said, _ := io.ReadAll(io.LimitReader(body, saidLimit))
	_, _ = io.CopyN(io.Discard, body, drainLimit)
	return string(said)
}

// judge turns a status into what the worker does next.
func (f *Flusher) judge(resp *nethttp.Response, said string, body []byte) error {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		f.doubts.taken(len(body))
		return nil
	}
	err := fmt.Errorf("%s answered %s%s", f.target, resp.Status, quote(said))
	switch {
	case code >= 300 && code < 400:
		return flushers.Misconfigured(fmt.Errorf("%s redirects (%d) to %s: set url to where it accepts a POST",
			f.target, code, withoutSecrets(resp.Header.Get("Location"))))
	case code == nethttp.StatusUnauthorized, code == nethttp.StatusForbidden,
		code == nethttp.StatusNotFound, code == nethttp.StatusProxyAuthRequired:
		return flushers.Misconfigured(err)
	case code == nethttp.StatusBadRequest && resp.Close && !f.doubts.believe(body, clock.Now()):
		f.dest.client.CloseIdleConnections() // whatever cut this one may have cut them
		return fmt.Errorf("%w, and closed the connection: perhaps the request was cut on its way", err)
	case code == nethttp.StatusRequestEntityTooLarge:
		return flushers.TooLarge(err)
	case code == nethttp.StatusRequestTimeout, code == nethttp.StatusTooManyRequests, code >= 500:
		if after, ok := retryAfter(resp.Header.Get("Retry-After"), time.Now()); ok {
			return flushers.RetryAfter(err, after)
		}
		return err
	}
	return flushers.Permanent(err)
}

// retryAfter reads seconds or an HTTP date. What is not in the future or cannot
// be read says nothing: the worker's own backoff is better than at once.
func retryAfter(s string, now time.Time) (time.Duration, bool) {
	s = strings.TrimSpace(s)
	if t, err := nethttp.ParseTime(s); err == nil {
		return min(t.Sub(now), farFuture), t.After(now)
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return time.Duration(min(seconds, int64(farFuture/time.Second))) * time.Second, seconds > 0
}

func quote(said string) string {
	said = strings.TrimSpace(said)
	if said == "" {
		return ""
	}
	return fmt.Sprintf(": %q", said)
}

func withoutSecrets(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return "nowhere"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return strconv.Quote(u.String())
}
