package web_test

import (
	"bytes"
	"context"
	"io"
	nethttp "net/http"
	"testing"

	"github.com/flushline/flushline/flushers/web"
)

// A request that is sent alone takes no connection of others, and leaves theirs.
func TestARequestThatIsSentAloneHasItsOwnConnection(t *testing.T) {
	t.Parallel()
	d, url := to(t, func(w nethttp.ResponseWriter, r *nethttp.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }, web.Options{})
	var from []string
	for _, do := range []func(context.Context, *nethttp.Request) (*web.Answer, error){d.Do, d.DoAlone, d.Do, d.DoAlone} {
		req, err := nethttp.NewRequest(nethttp.MethodPut, url, bytes.NewReader([]byte("body")))
		if err != nil {
			t.Fatal(err)
		}
		a, err := do(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if a.Major != 1 {
			t.Errorf("HTTP/%d from a server of HTTP/1", a.Major)
		}
		from = append(from, string(a.Body))
	}
	if from[0] != from[2] || from[0] == from[1] || from[0] == from[3] || from[1] == from[3] {
		t.Errorf("requests came from %q: want the same connection for the first and third, and another for each other", from)
	}
}
