package web_test

import (
	"crypto/tls"
	nethttp "net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/testcert"
)

// A server that changes its certificate while we run is refused, which names the cause
// and blocks without losing anything, until its authority stands in the file.
func TestAServerThatChangesItsCertificate(t *testing.T) {
	t.Parallel()
	first, second := testcert.New(t), testcert.New(t)
	var shown atomic.Pointer[tls.Certificate]
	use := func(a *testcert.Authority) {
		pair := a.Issue(t).TLS(t)
		shown.Store(&pair)
	}
	use(first)
	var major atomic.Int64
	s := httptest.NewUnstartedServer(nethttp.HandlerFunc(func(_ nethttp.ResponseWriter, r *nethttp.Request) { major.Store(int64(r.ProtoMajor)) }))
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil }}
	s.StartTLS()
	t.Cleanup(s.Close)
	s.TLS.Certificates = nil // httptest's own would be shown to who gives no name
	dir := t.TempDir()
	d := share(t, new(flushertest.Process), web.Options{BaseURL: s.URL, TLS: trust.TLS{CA: testcert.Write(t, dir, "ca.pem", first.PEM)}})
	want := func(step string, class flushers.Class) {
		t.Helper()
		s.CloseClientConnections()
		_, err := send(t.Context(), d, s.URL)
		got, _ := flushers.Classify(err)
		for deadline := time.Now().Add(30 * time.Second); got == flushers.ClassRetry && time.Now().Before(deadline); {
			_, err = send(t.Context(), d, s.URL) // it met the connection that was just closed
			got, _ = flushers.Classify(err)
		}
		if got != class {
			t.Errorf("%s: class %v (%v), want %v", step, got, err, class)
		}
		if !d.Ready() {
			t.Errorf("%s: unready", step)
		}
	}
	want("at first", flushers.ClassNone)
	use(second)
	want("changed", flushers.ClassMisconfigured)
	testcert.Write(t, dir, "ca.pem", second.PEM)
	want("the new authority is trusted", flushers.ClassNone)
	if major.Load() != 2 {
		t.Errorf("HTTP/%d was spoken, want 2", major.Load())
	}
}
