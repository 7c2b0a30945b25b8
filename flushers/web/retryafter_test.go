package web

import (
	nethttp "net/http"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := map[string]time.Duration{
		"7": 7 * time.Second, " 7 ": 7 * time.Second,
		"315360000": farFuture, "99999999999999999999": farFuture,
		"Fri, 02 Jan 2026 03:04:35 GMT": 30 * time.Second, "Fri, 02 Jan 2126 03:04:35 GMT": farFuture,
		"": 0, "0": 0, "-5": 0, "-99999999999999999999": 0, "soon": 0, "Fri, 02 Jan 2015 03:04:35 GMT": 0,
	}
	for value, want := range cases {
		if got, ok := RetryAfter(nethttp.Header{"Retry-After": {value}}, now); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %v, %v; want %v", value, got, ok, want)
		}
	}
}
