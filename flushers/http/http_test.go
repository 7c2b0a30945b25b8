package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

var key = protocol.Key{Project: "shop", Logstore: "or\r\nders 100%", Config: "c1"}

func TestOptionTags(t *testing.T) {
	t.Parallel()
	if err := option.Check(newFlusher()); err != nil {
		t.Error(err)
	}
}

// seen is one request as a server got it.
type seen struct {
	method, host string
	target       string
	header       nethttp.Header
	body         []byte
}

type server struct {
	*httptest.Server
	answer func(w nethttp.ResponseWriter, body string) // instead of what serve was given
	verify func(r *nethttp.Request, body []byte)       // the same
	mu     sync.Mutex
	seen   []seen
}

func serve(t *testing.T, answer nethttp.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(s.record(answer))
	t.Cleanup(s.Close)
	return s
}

func (s *server) record(answer nethttp.HandlerFunc) nethttp.HandlerFunc {
	return func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.seen = append(s.seen, seen{r.Method, r.Host, r.RequestURI, r.Header.Clone(), body})
		s.mu.Unlock()
		switch {
		case s.verify != nil:
			s.verify(r, body)
		case s.answer != nil:
			s.answer(w, string(body))
		default:
			answer(w, r)
		}
	}
}

func (s *server) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.seen...)
}

func (s *server) only(t *testing.T) seen {
	t.Helper()
	all := s.requests()
	if len(all) != 1 {
		t.Fatalf("%d requests, want 1", len(all))
	}
	return all[0]
}

func status(code int) nethttp.HandlerFunc {
	return func(w nethttp.ResponseWriter, _ *nethttp.Request) { w.WriteHeader(code) }
}

func start(t *testing.T, p *flushertest.Process, url string, set func(*Flusher)) *Flusher {
	t.Helper()
	f := newFlusher()
	f.URL = url
	if set != nil {
		set(f)
	}
	if err := f.Init(p.Context(t, key)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func group(msg string) *protocol.LogGroup {
	return &protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "msg", Value: msg}}}}}
}

func flush(f *Flusher, groups ...*protocol.LogGroup) error {
	return f.Flush(key.Project, key.Logstore, key.Config, groups)
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	s := serve(t, status(204))
	f := start(t, new(flushertest.Process), s.URL+"/in?tenant=1", func(f *Flusher) {
		f.Headers = map[string]option.Secret{"X-Tenant": option.NewSecret("shop"), "Host": option.NewSecret("logs.example")}
		f.User, f.Password = "me", option.NewSecret("pw")
	})
	if err := flush(f, group("a"), &protocol.LogGroup{}, group("b")); err != nil {
		t.Fatal(err)
	}
	got := s.only(t)
	want := protocol.AppendJSONLines(protocol.AppendJSONLines(nil, group("a")), group("b"))
	if !bytes.Equal(got.body, want) {
		t.Errorf("body %q, want %q", got.body, want)
	}
	headers := map[string]string{
		"Content-Type": "application/x-ndjson", "X-Tenant": "shop", "Authorization": "Basic bWU6cHc=",
		"X-Log-Project": "shop", "X-Log-Logstore": "or%0D%0Aders%20100%25", "X-Log-Config": "c1", "Content-Encoding": "",
	}
	for name, value := range headers {
		if got.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
		}
	}
	if got.method != "POST" || got.host != "logs.example" {
		t.Errorf("%s to host %s", got.method, got.host)
	}
}

func TestGroupsWithoutLogsNeedNoRequest(t *testing.T) {
	t.Parallel()
	s := serve(t, status(500))
	f := start(t, new(flushertest.Process), s.URL, nil)
	if err := flush(f, &protocol.LogGroup{Topic: "t"}); err != nil {
		t.Error(err)
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestLogGroupBytes(t *testing.T) {
	t.Parallel()
	one, two := group("one"), group("two")
	raw := func(g *protocol.LogGroup) []byte { return g.AppendMarshal(nil) }
	untouched := append(raw(one), 0xf8, 0x01, 0x05) // an unknown field, which decoding would lose
	both := &protocol.LogGroupList{LogGroupList: []*protocol.LogGroup{one, two}}
	cases := map[string]struct {
		batch       flushers.Batch
		contentType string
		body        []byte
	}{
		"one":      {flushers.Batch{Groups: []*protocol.LogGroup{one}}, protocol.TypeLogGroup, raw(one)},
		"raw":      {flushers.Batch{Groups: []*protocol.LogGroup{one}, Raw: [][]byte{untouched}}, protocol.TypeLogGroup, untouched},
		"several":  {flushers.Batch{Groups: []*protocol.LogGroup{one, two}}, protocol.TypeLogGroupList, both.AppendMarshal(nil)},
		"raw list": {flushers.Batch{Groups: []*protocol.LogGroup{one, two}, Raw: [][]byte{raw(one), raw(two)}}, protocol.TypeLogGroupList, both.AppendMarshal(nil)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, status(200))
			f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Format = formats.LogGroup })
			if err := f.FlushBatch(t.Context(), &tc.batch); err != nil {
				t.Fatal(err)
			}
			got := s.only(t)
			if got.header.Get("Content-Type") != tc.contentType || !bytes.Equal(got.body, tc.body) {
				t.Errorf("posted %s %x, want %s %x", got.header.Get("Content-Type"), got.body, tc.contentType, tc.body)
			}
		})
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	open := map[string]func([]byte) ([]byte, error){
		"gzip": func(b []byte) ([]byte, error) {
			r, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				return nil, err
			}
			return io.ReadAll(r)
		},
		"zstd": func(b []byte) ([]byte, error) {
			r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return r.DecodeAll(b, nil)
		},
	}
	for name, decode := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, status(200))
			f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Compression = name })
			if err := flush(f, group("x")); err != nil {
				t.Fatal(err)
			}
			got := s.only(t)
			body, err := decode(got.body)
			if err != nil || !bytes.Equal(body, protocol.AppendJSONLines(nil, group("x"))) || got.header.Get("Content-Encoding") != name {
				t.Errorf("posted %q (%v) as %q", body, err, got.header.Get("Content-Encoding"))
			}
		})
	}
}

func TestStatusClasses(t *testing.T) {
	t.Parallel()
	cases := map[int]flushers.Class{
		200: flushers.ClassNone, 201: flushers.ClassNone, 202: flushers.ClassNone, 204: flushers.ClassNone, 207: flushers.ClassNone, 299: flushers.ClassNone,
		301: flushers.ClassMisconfigured, 302: flushers.ClassMisconfigured, 304: flushers.ClassMisconfigured,
		400: flushers.ClassPermanent, 409: flushers.ClassPermanent, 415: flushers.ClassPermanent, 422: flushers.ClassPermanent,
		401: flushers.ClassMisconfigured, 403: flushers.ClassMisconfigured, 404: flushers.ClassMisconfigured, 407: flushers.ClassMisconfigured,
		408: flushers.ClassRetry, 429: flushers.ClassRetry, 413: flushers.ClassTooLarge,
		500: flushers.ClassRetry, 501: flushers.ClassRetry, 502: flushers.ClassRetry, 503: flushers.ClassRetry, 504: flushers.ClassRetry, 599: flushers.ClassRetry,
	}
	for code, want := range cases {
		s := serve(t, status(code))
		f := start(t, new(flushertest.Process), s.URL, nil)
		err := flush(f, group("x"))
		if got, _ := flushers.Classify(err); got != want {
			t.Errorf("%d: %v (%v), want %v", code, got, err, want)
		}
		if err == nil && !f.IsReady("", "", 0) {
			t.Errorf("%d: unready after success", code)
		}
	}
}

func TestRetryAfterHoldsReadiness(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Retry-After", "100")
		w.WriteHeader(503)
	})
	f := start(t, new(flushertest.Process), s.URL, nil)
	class, after := flushers.Classify(flush(f, group("x")))
	if class != flushers.ClassRetryAfter || after != 100*time.Second {
		t.Errorf("%v after %v", class, after)
	}
	if f.IsReady("", "", 0) {
		t.Error("ready although Retry-After holds")
	}
	f.unreadyTil.Store(clock.Now()) // as if the time had passed
	if !f.IsReady("", "", 0) {
		t.Error("unready although Retry-After has passed")
	}
}

func TestErrorCarriesTheBeginningOfTheAnswerAndNoSecret(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, "bad \x1b field"+strings.Repeat("x", 100_000))
	})
	f := start(t, new(flushertest.Process), s.URL+"/in?key=s3cret", func(f *Flusher) { f.Token = option.NewSecret("t0ken") })
	err := flush(f, group("x"))
	if err == nil {
		t.Fatal("400 = nil")
	}
	text := err.Error()
	if !strings.Contains(text, s.URL+`/in answered 400 Bad Request: "bad \x1b fieldxxx`) || len(text) > 1200 {
		t.Errorf("%d bytes: %.200s", len(text), text)
	}
	if strings.Contains(text, "s3cret") || strings.Contains(text, "t0ken") {
		t.Error("the error holds a secret")
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	other := serve(t, status(200))
	for name, tc := range map[string]struct {
		code   int
		to     string
		class  flushers.Class
		landed bool
	}{
		"307 on the same host": {code: 307, to: "/moved", class: flushers.ClassNone, landed: true},
		"308 on the same host": {code: 308, to: "/moved", class: flushers.ClassNone, landed: true},
		"302 would be a GET":   {code: 302, to: "/moved", class: flushers.ClassMisconfigured},
		"301 would be a GET":   {code: 301, to: "/moved", class: flushers.ClassMisconfigured},
		"307 to another host":  {code: 307, to: other.URL + "/stolen?key=s3cret", class: flushers.ClassMisconfigured},
		"308 to another host":  {code: 308, to: other.URL, class: flushers.ClassMisconfigured},
		"307 in a circle":      {code: 307, to: "/", class: flushers.ClassMisconfigured},
		"307 to nowhere":       {code: 307, to: "", class: flushers.ClassMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
				if r.URL.Path == "/moved" {
					return
				}
				if tc.to != "" {
					w.Header().Set("Location", tc.to)
				}
				w.WriteHeader(tc.code)
			})
			f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Token = option.NewSecret("t") })
			err := flush(f, group("x"))
			if got, _ := flushers.Classify(err); got != tc.class {
				t.Errorf("%v (%v), want %v", got, err, tc.class)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error("the error holds the query of the other host")
			}
			last := s.requests()[len(s.requests())-1]
			if tc.landed && (last.method != "POST" || len(last.body) == 0 || last.header.Get("Authorization") == "") {
				t.Errorf("the redirected request was %s with %d bytes and %q", last.method, len(last.body), last.header.Get("Authorization"))
			}
		})
	}
	t.Cleanup(func() {
		if n := len(other.requests()); n != 0 {
			t.Errorf("another host got %d requests", n)
		}
	})
}

func TestARefusedConnectionIsAShortPause(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var p flushertest.Process
	f, sibling, stranger := start(t, &p, url, nil), start(t, &p, url, nil), start(t, &p, serve(t, status(200)).URL, nil)
	if class, _ := flushers.Classify(flush(f, group("x"))); class != flushers.ClassRetry {
		t.Errorf("class %v, want a plain retry", class)
	}
	if f.IsReady("", "", 0) || sibling.IsReady("", "", 0) {
		t.Error("ready right after the connection was refused")
	}
	if !stranger.IsReady("", "", 0) {
		t.Error("the lane of another host is unready, too")
	}
	for deadline := time.Now().Add(30 * time.Second); !f.IsReady("", "", 0); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still unready after 30s")
		}
	}
}

func TestAServerThatNeverAnswers(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	s := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { <-gate })
	t.Cleanup(func() { close(gate) })
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Timeout = 50 * time.Millisecond })
	if class, _ := flushers.Classify(flush(f, group("x"))); class != flushers.ClassTimeout {
		t.Errorf("class %v, want timeout", class)
	}
	f.Timeout = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	err := f.FlushBatch(ctx, &flushers.Batch{Groups: []*protocol.LogGroup{group("x")}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("FlushBatch = %v, want the end of its context", err)
	}
	if !f.IsReady("", "", 0) {
		t.Error("a slow answer is no refused connection")
	}
}

func TestABodyThatNeverEndsIsStillAnAnswer(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	s := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.WriteHeader(200)
		w.(nethttp.Flusher).Flush()
		<-gate
	})
	t.Cleanup(func() { close(gate) })
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Timeout = time.Hour })
	if err := flush(f, group("x")); err != nil {
		t.Errorf("Flush = %v, want nil: the status said stored", err)
	}
}

func TestAConnectionCutBeforeTheAnswerIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { panic(nethttp.ErrAbortHandler) })
	f := start(t, new(flushertest.Process), s.URL, nil)
	if class, _ := flushers.Classify(flush(f, group("x"))); class != flushers.ClassRetry {
		t.Errorf("class %v, want a plain retry", class)
	}
}

func TestConnectionsAreSharedAndReused(t *testing.T) {
	t.Parallel()
	conns := map[string]bool{}
	var mu sync.Mutex
	s := serve(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) {
		mu.Lock()
		conns[r.RemoteAddr] = true
		mu.Unlock()
	})
	var p flushertest.Process
	for range 5 {
		if err := flush(start(t, &p, s.URL, nil), group("x")); err != nil {
			t.Fatal(err)
		}
	}
	start(t, &p, s.URL, func(f *Flusher) { f.MaxIdleConns = 1 })
	if p.Shared.Len() != 2 || len(conns) != 1 {
		t.Errorf("%d clients and %d connections, want 2 and 1", p.Shared.Len(), len(conns))
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  func(*Flusher)
		path string
	}{
		"no host":          {func(f *Flusher) { f.URL = "logs" }, "url"},
		"scheme":           {func(f *Flusher) { f.URL = "ftp://x" }, "url"},
		"userinfo":         {func(f *Flusher) { f.URL = "http://u:p@x" }, "url"},
		"header name":      {func(f *Flusher) { f.Headers = secrets("X Y", "") }, "headers"},
		"header injection": {func(f *Flusher) { f.Headers = secrets("X", "a\r\nY: b") }, "headers"},
		"content-length":   {func(f *Flusher) { f.Headers = secrets("content-length", "1") }, "headers"},
		"two credentials":  {func(f *Flusher) { f.User, f.Token = "u", option.NewSecret("t") }, "token"},
		"cert without key": {func(f *Flusher) { f.TLS.Cert = "c.pem" }, "tls.cert"},
	} {
		f := newFlusher()
		f.URL = "https://x/y"
		if got := f.Validate(); len(got) != 0 {
			t.Errorf("the defaults: %+v", got)
		}
		tc.set(f)
		var paths []string
		for _, p := range f.Validate() {
			paths = append(paths, p.Path)
			if strings.Contains(p.Message, "u:p") || strings.Contains(p.Message, "Y: b") {
				t.Errorf("%s: the message shows the value: %s", name, p.Message)
			}
		}
		if diff := cmp.Diff([]string{tc.path}, paths); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if class, _ := flushers.Classify(f.Init(flushertest.NewContext(t, key))); class != flushers.ClassMisconfigured {
			t.Errorf("%s: Init is %v, want misconfigured", name, class)
		}
	}
}

func secrets(name, value string) map[string]option.Secret {
	return map[string]option.Secret{name: option.NewSecret(value)}
}

func TestAPastedBlockOfILogtail(t *testing.T) {
	t.Parallel()
	f := newFlusher()
	problems := option.Decode(option.FromAny(map[string]any{
		"RemoteURL": "https://x/y", "Headers": map[string]any{"X-A": "s3cret"}, "Timeout": "5s",
		"TLS": map[string]any{"CAFile": "ca.pem"}, "Concurrency": 3, "Query": map[string]any{"a": "%{tag.b}"},
		"MaxConnsPerHost": 7, "IdleConnTimeout": "9s", "Compression": "snappy", "QueueCapacity": 8,
		"Convert":       map[string]any{"Protocol": "custom_single_flatten", "Encoding": "json", "TagFieldsRename": map[string]any{"host.name": "h"}},
		"Authenticator": map[string]any{"Type": "ext"},
	}), f)
	var paths []string
	for _, p := range problems {
		paths = append(paths, fmt.Sprint(p.Path, " warning=", p.Warning))
	}
	slices.Sort(paths)
	if diff := cmp.Diff([]string{"Authenticator warning=false", "QueueCapacity warning=true"}, paths); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if f.URL != "https://x/y" || f.Timeout != 5*time.Second || f.TLS.CA != "ca.pem" || f.Headers["X-A"].Reveal() != "s3cret" ||
		f.InFlight != 3 || f.Query["a"].Reveal() != "%{tag.b}" || f.MaxConns != 7 || f.IdleConnTimeout != 9*time.Second || f.Compression != "snappy" {
		t.Errorf("decoded %+v", f)
	}
	if text := fmt.Sprintf("%+v %#v", f, f); strings.Contains(text, "s3cret") {
		t.Error("printing the options shows a header's value")
	}
}
