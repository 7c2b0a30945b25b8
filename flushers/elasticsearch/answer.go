package elasticsearch

import (
	"bytes"
	"errors"
	"fmt"
	nethttp "net/http"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/web"
)

var errCut = errors.New("the answer was cut off or did not end")

// tooMuch says that a request of that size has to be smaller. A breaker or a limit of
// pressure that is below it refuses it always, however little else is under way.
func tooMuch(a *web.Answer, size int) bool {
	switch a.Status {
	case nethttp.StatusRequestEntityTooLarge:
		return true
	case nethttp.StatusTooManyRequests:
		if limit := numberAfter(a.Body, `"bytes_limit":`); limit > 0 && limit < overhead*size {
			return true
		}
		limit := numberAfter(a.Body, "max_coordinating_and_primary_bytes=")
		return limit > 0 && limit < numberAfter(a.Body, " coordinating_operation_bytes=")
	}
	return false
}

// overhead is how often a breaker counts the bytes of a request, unless
// network.breaker.inflight_requests.overhead says otherwise.
const overhead = 2

// numberAfter is the number behind a text; 0: there is none.
func numberAfter(body []byte, text string) int {
	_, behind, _ := bytes.Cut(body, []byte(text))
	n := 0
	for _, c := range behind[:min(len(behind), 15)] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// refusal turns a status of the whole request into what the worker does next.
func refusal(a *web.Answer, from string, attempt int) error {
	err := said(a, from)
	switch code := a.Status; {
	case code >= 300 && code < 400:
		return flushers.Misconfigured(fmt.Errorf("%w: it redirects elsewhere; set addresses to where it takes bulk requests", err))
	case code == nethttp.StatusTooManyRequests, code == nethttp.StatusBadGateway,
		code == nethttp.StatusServiceUnavailable, code == nethttp.StatusGatewayTimeout:
		if wait, ok := web.RetryAfter(a.Header, time.Now()); ok {
			return flushers.RetryAfter(err, wait)
		}
		return flushers.RetryAfter(err, after(attempt))
	case code == nethttp.StatusBadRequest, code == nethttp.StatusRequestTimeout, code == nethttp.StatusConflict, code >= 500, code < 200:
		return err // of no single log, so that nothing may be thrown away for it
	}
	return flushers.Misconfigured(err) // 401, 403, 404, 405, 406, 415
}

// heed holds an address back that says for how long.
func (n *node) heed(a *web.Answer) {
	if a.Status != nethttp.StatusTooManyRequests && a.Status != nethttp.StatusServiceUnavailable {
		return
	}
	if wait, ok := web.RetryAfter(a.Header, time.Now()); ok {
		n.dest.Hold(wait)
	}
}

// said is an answer as an error.
func said(a *web.Answer, from string) error {
	what := fmt.Sprintf("%d %s", a.Status, nethttp.StatusText(a.Status))
	if typ, reason := wholeError(a.Body); typ != "" || reason != "" {
		return fmt.Errorf("%s answered %s: %s", from, what, joined(typ, reason))
	}
	if text := strings.TrimSpace(string(a.Body[:min(len(a.Body), 512)])); text != "" {
		return fmt.Errorf("%s answered %s: %q", from, what, text)
	}
	return fmt.Errorf("%s answered %s", from, what)
}

func joined(typ, reason string) string {
	if reason == "" {
		return typ
	}
	if typ == "" {
		return reason
	}
	return typ + ": " + reason
}
