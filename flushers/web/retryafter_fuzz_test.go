package web

import (
	nethttp "net/http"
	"testing"
	"time"
)

// FuzzRetryAfter: whatever a server says, the wait is longer than nothing and at most
// a day.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", " 120 ", "-5", "0", "1e3", "99999999999999999999", "Fri, 31 Dec 1999 23:59:59 GMT", "Tue, 14 Nov 2023 22:13:21 GMT", "Sun, 06 Nov 9999 08:49:37 GMT"} {
		f.Add(s, int64(1_700_000_000))
	}
	f.Fuzz(func(t *testing.T, s string, now int64) {
		if after, ok := RetryAfter(nethttp.Header{"Retry-After": {s}}, time.Unix(now%(1<<40), 0)); ok && (after <= 0 || after > farFuture) {
			t.Errorf("%q at %d: wait %s", s, now, after)
		}
	})
}
