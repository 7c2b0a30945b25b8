package http

import (
	"bytes"
	"fmt"
	nethttp "net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/clock"
)

// judge turns a status into what the worker does next.
func (f *Flusher) judge(a *web.Answer, r *request, body []byte) error {
	code, ok := a.Status, a.Status >= 200 && a.Status < 300
	if slices.Contains(f.Success, code) || ok && len(f.Success) == 0 {
		f.counts.bytes.Add(int64(len(body)))
		f.doubts.taken(len(body))
		return nil
	}
	err := fmt.Errorf("%s answered %d %s%s", r.place.shown, code, nethttp.StatusText(code), quote(a.Body))
	switch {
	case ok:
		return flushers.Misconfigured(fmt.Errorf("%w, which is not among the statuses of the option success: add it if it means stored", err))
	case code >= 300 && code < 400:
		return flushers.Misconfigured(fmt.Errorf("%s redirects (%d) to %s: set url to where it accepts a %s",
			r.place.shown, code, withoutSecrets(a.Header.Get("Location")), f.Method))
	case code == nethttp.StatusUnauthorized, code == nethttp.StatusForbidden,
		code == nethttp.StatusNotFound, code == nethttp.StatusProxyAuthRequired:
		return flushers.Misconfigured(err)
	case code == nethttp.StatusBadRequest && a.Closes && !f.doubts.believe(body, clock.Now()):
		f.dest.CloseIdle() // whatever cut this one may have cut them
		return fmt.Errorf("%w, and closed the connection: perhaps the request was cut on its way", err)
	case code == nethttp.StatusRequestEntityTooLarge:
		return flushers.TooLarge(err)
	case code == nethttp.StatusRequestTimeout, code == nethttp.StatusTooManyRequests, code >= 500:
		if after, ok := web.RetryAfter(a.Header, time.Now()); ok {
			return flushers.RetryAfter(err, after)
		}
		return err
	}
	return flushers.Permanent(err)
}

func quote(said []byte) string {
	said = bytes.TrimSpace(said)
	if len(said) == 0 {
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
