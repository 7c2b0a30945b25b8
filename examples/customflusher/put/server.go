package put

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// server is the connections to one host, shared by the lanes of a process.
type server struct {
	client    *http.Client
	awayUntil atomic.Int64 // Unix nanoseconds
}

const awayFor = time.Second

func newServer() (io.Closer, error) {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     time.Minute,
	}
	// A PUT that follows a redirect may become a GET, whose 200 would say "stored".
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &server{client: &http.Client{Transport: t, CheckRedirect: stay}}, nil
}

// Close comes with the last release.
func (s *server) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// answer is what a request came to.
type answer struct {
	code         int
	status, said string
	retryAfter   time.Duration // 0: the server did not say
}

// put sends one request. An error says that there is no answer: whether the
// object was stored is not known, so it is tried again.
func (s *server) put(ctx context.Context, target string, token option.Secret, body []byte) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target, bytes.NewReader(body))
	if err != nil {
		return nil, flushers.Misconfigured(fmt.Errorf("couldn't make a request of the url: %w", err))
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if !token.IsZero() {
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" && ctx.Err() == nil {
			s.awayUntil.Store(time.Now().Add(awayFor).UnixNano())
		}
		return nil, fmt.Errorf("couldn't store an object: %w", err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 256)) // the status counts, not the text
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return &answer{resp.StatusCode, resp.Status, strings.TrimSpace(string(said)), time.Duration(seconds) * time.Second}, nil
}
