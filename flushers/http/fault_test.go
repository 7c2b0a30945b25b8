package http

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/testcert"
)

// What a server says beside its status does not matter, and what is no HTTP is no answer.
func TestAnswersThatAreNotAsTheyShouldBe(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\n"
	for name, tc := range map[string]struct {
		says string
		want flushers.Class
	}{
		"garbage behind a 200":               {head + "Content-Length: 7\r\n\r\n\x00{\"err", flushers.ClassNone},
		"a 200 that says error":              {head + "Content-Length: 13\r\n\r\n{\"error\":true}", flushers.ClassNone},
		"a 200 that is reset in its body":    {head + "Content-Length: 100\r\n\r\nstor", flushers.ClassNone},
		"a 200 with a chunk of no length":    {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", flushers.ClassNone},
		"a 422 that is reset in its body":    {"HTTP/1.1 422 No\r\nContent-Length: 100\r\n\r\nbad", flushers.ClassPermanent},
		"no status":                          {"hello\r\n\r\n", flushers.ClassRetry},
		"half a status":                      {"HTTP/1.1 20", flushers.ClassRetry},
		"a header that does not end":         {head + "X: " + strings.Repeat("x", 200_000), flushers.ClassRetry},
		"half a header":                      {head + "X-A: b\r\nX-", flushers.ClassRetry},
		"nothing":                            {"", flushers.ClassRetry},
		"a status that no version of it has": {"HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n", flushers.ClassRetry},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, new(flushertest.Process), "http://"+says(t, tc.says), nil)
			err := flush(f, group("x"))
			if got, _ := flushers.Classify(err); got != tc.want {
				t.Errorf("class %v (%v), want %v", got, err, tc.want)
			}
			if !f.IsReady("", "", 0) {
				t.Error("unready after an answer")
			}
		})
	}
}

// says is a server that reads each request, writes that, and closes.
func says(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := nethttp.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// A server that shows another certificate is no more trusted, and the lane waits; it goes
// on by itself as soon as the file names its authority.
func TestAServerThatChangesItsCertificate(t *testing.T) {
	t.Parallel()
	first, second := testcert.New(t), testcert.New(t)
	var shown atomic.Pointer[tls.Certificate]
	use := func(a *testcert.Authority) {
		pair := a.Issue(t).TLS(t)
		shown.Store(&pair)
	}
	use(first)
	s := httptest.NewUnstartedServer(status(200))
	s.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil }}
	s.Config.SetKeepAlivesEnabled(false) // each request meets the certificate of now
	s.StartTLS()
	t.Cleanup(s.Close)
	s.TLS.Certificates = nil
	dir := t.TempDir()
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.TLS.CA = testcert.Write(t, dir, "ca.pem", first.PEM) })
	want := func(step string, class flushers.Class) {
		t.Helper()
		err := flush(f, group("x"))
		if got, _ := flushers.Classify(err); got != class || !f.IsReady("", "", 0) {
			t.Errorf("%s: class %v (%v), want %v", step, got, err, class)
		}
	}
	want("at first", flushers.ClassNone)
	use(second)
	want("another authority's", flushers.ClassMisconfigured)
	testcert.Write(t, dir, "ca.pem", second.PEM)
	want("that authority is trusted", flushers.ClassNone)
	use(first)
	want("back", flushers.ClassMisconfigured)
	use(second)
	want("and forth", flushers.ClassNone)
}

// With several requests in a batch a server that hangs costs one timeout, not one each.
func TestAServerThatHangsInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	s := serve(t, nil)
	s.answer = func(_ nethttp.ResponseWriter, body string) {
		if strings.Contains(body, "hang-") {
			<-gate
		}
	}
	t.Cleanup(func() { close(gate) })
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Request, f.Timeout = perGroup, 2*time.Second })
	classes := failed(t, flush(f, tagged("x", 0, "a"), tagged("x", 0, "hang-1"), tagged("x", 0, "b"), tagged("x", 0, "c")))
	for i := 1; i < 4; i++ {
		if classes[i] != flushers.ClassTimeout {
			t.Errorf("group %d: class %v, want timeout", i, classes[i])
		}
	}
	if n := len(s.requests()); n != 2 || len(classes) != 3 {
		t.Errorf("%d requests and %d groups that failed, want 2 and 3", n, len(classes))
	}
}
