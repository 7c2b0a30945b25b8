package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

var key = protocol.Key{Project: "p", Logstore: "l", Config: "c"}

func share(t *testing.T, p *flushertest.Process, o web.Options) *web.Destination {
	t.Helper()
	d, release, err := web.Share(p.Context(t, key), "test", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return d
}

func to(t *testing.T, answer nethttp.HandlerFunc, o web.Options) (*web.Destination, string) {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	o.BaseURL = s.URL
	return share(t, new(flushertest.Process), o), s.URL
}

func send(ctx context.Context, d *web.Destination, url string) (*web.Answer, error) {
	req, err := nethttp.NewRequest(nethttp.MethodPut, url, bytes.NewReader([]byte("body")))
	if err != nil {
		return nil, err
	}
	return d.Do(ctx, req)
}

func TestAnAnswerIsReadUpToItsLimit(t *testing.T) {
	t.Parallel()
	said := strings.Repeat("x", 1000)
	for name, tc := range map[string]struct {
		most    int
		chunked bool
		want    int
		whole   bool
	}{
		"known length":             {2000, false, 1000, true},
		"known length, exactly":    {1000, false, 1000, true},
		"known length, too long":   {999, false, 999, false},
		"unknown length":           {2000, true, 1000, true},
		"unknown length, exactly":  {1000, true, 1000, true},
		"unknown length, too long": {999, true, 999, false},
	} {
		d, url := to(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("X-A", "b")
			w.WriteHeader(nethttp.StatusAccepted)
			if tc.chunked {
				w.(nethttp.Flusher).Flush()
			}
			_, _ = io.WriteString(w, said)
		}, web.Options{MaxAnswer: tc.most})
		a, err := send(t.Context(), d, url)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status != 202 || a.Header.Get("X-A") != "b" || len(a.Body) != tc.want || a.Whole != tc.whole || a.Closes {
			t.Errorf("%s: %d %v, %d bytes, whole %v, closes %v", name, a.Status, a.Header, len(a.Body), a.Whole, a.Closes)
		}
	}
}

// What comes after the status may end early or never; the status stands, and nobody
// waits for ever.
func TestAnAnswerThatDoesNotEndWell(t *testing.T) {
	t.Parallel()
	begin := func(w nethttp.ResponseWriter) {
		w.WriteHeader(nethttp.StatusOK)
		_, _ = io.WriteString(w, "begin")
		w.(nethttp.Flusher).Flush()
	}
	for name, rest := range map[string]nethttp.HandlerFunc{
		"it never ends": func(w nethttp.ResponseWriter, r *nethttp.Request) { begin(w); <-r.Context().Done() },
		"it is reset":   func(w nethttp.ResponseWriter, _ *nethttp.Request) { begin(w); panic(nethttp.ErrAbortHandler) },
		"it goes on and on": func(w nethttp.ResponseWriter, r *nethttp.Request) {
			begin(w)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		},
	} {
		d, url := to(t, rest, web.Options{})
		a, err := send(t.Context(), d, url)
		if err != nil || a.Status != nethttp.StatusOK || a.Whole || !bytes.HasPrefix(a.Body, []byte("begin")) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		if !d.Ready() {
			t.Errorf("%s: unready", name)
		}
	}
}

func TestRedirectsStayAtTheOrigin(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int64
	other := httptest.NewServer(nethttp.HandlerFunc(func(nethttp.ResponseWriter, *nethttp.Request) { stolen.Add(1) }))
	t.Cleanup(other.Close)
	for _, tc := range []struct {
		code int
		to   string
		want int
	}{{307, "/moved", 200}, {308, "/moved", 200}, {302, "/moved", 302}, {307, other.URL + "/moved", 307}, {307, "/", 307}} {
		d, url := to(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
			if body, _ := io.ReadAll(r.Body); r.URL.Path == "/moved" && r.Method == nethttp.MethodPut && string(body) == "body" {
				return
			}
			w.Header().Set("Location", tc.to)
			w.WriteHeader(tc.code)
		}, web.Options{})
		if a, err := send(t.Context(), d, url); err != nil || a.Status != tc.want {
			t.Errorf("%d to %s: %+v, %v; want %d", tc.code, tc.to, a, err, tc.want)
		}
	}
	if n := stolen.Load(); n != 0 {
		t.Errorf("another origin got %d requests", n)
	}
}

func TestARefusedConnectionIsAShortPauseForAllWhoShareIt(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	_ = l.Close()
	var p flushertest.Process
	one, other := share(t, &p, web.Options{BaseURL: url + "/a"}), share(t, &p, web.Options{BaseURL: url + "/b?c"})
	_, err = send(t.Context(), one, url+"/in?key=s3cret")
	if class, _ := flushers.Classify(err); class != flushers.ClassRetry || strings.Contains(err.Error(), "s3cret") ||
		!strings.Contains(err.Error(), "PUT "+url+"/in: ") {
		t.Errorf("class %v (%v), want a plain retry that names the target without its query", class, err)
	}
	if one.Ready() || other.Ready() || one != other {
		t.Error("ready right after the connection was refused")
	}
	for deadline := time.Now().Add(30 * time.Second); !other.Ready(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still unready after 30s")
		}
	}
}

func TestTheLongestHoldCounts(t *testing.T) {
	t.Parallel()
	d := share(t, new(flushertest.Process), web.Options{BaseURL: "http://127.0.0.1"})
	d.Hold(time.Hour)
	d.Hold(0)
	if d.Ready() {
		t.Error("a shorter hold ended a longer one")
	}
}

func TestTheCallersContextEndsARequest(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	d, url := to(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	}, web.Options{})
	if _, err := send(ctx, d, url); !errors.Is(err, context.Canceled) || !d.Ready() {
		t.Errorf("%v, ready %v", err, d.Ready())
	}
}

func TestOptionsThatDifferShareNothing(t *testing.T) {
	t.Parallel()
	var p flushertest.Process
	share(t, &p, web.Options{BaseURL: "http://127.0.0.1:1"})
	for n, o := range []web.Options{
		{BaseURL: "https://127.0.0.1:1"},
		{BaseURL: "http://127.0.0.1:2"},
		{BaseURL: "http://127.0.0.1:1", TLS: trust.TLS{ServerName: "a"}},
		{BaseURL: "http://127.0.0.1:1", MaxConns: 1},
	} {
		share(t, &p, o)
		if p.Shared.Len() != n+2 {
			t.Errorf("%+v is shared", o)
		}
	}
	if _, _, err := web.Share(p.Context(t, key), "test", web.Options{BaseURL: "https://a", TLS: trust.TLS{CA: "missing.pem"}}); err == nil {
		t.Error("a file that is missing is no error")
	} else if class, _ := flushers.Classify(err); class != flushers.ClassMisconfigured {
		t.Errorf("class %v, want misconfigured", class)
	}
}
