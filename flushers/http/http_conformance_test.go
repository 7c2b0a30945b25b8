package http_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	nethttp "net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/http"
	"github.com/flushline/flushline/protocol"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]map[string]any{
		"json lines":     {},
		"loggroup":       {"format": "loggroup"},
		"gzip lines":     {"compression": "gzip"},
		"zstd loggroups": {"format": "loggroup", "compression": "zstd"},
		"snappy groups":  {"request": "group", "compression": "snappy", "concurrent": 64},
		"loggroups by host": {
			"format": "loggroup", "request": "group", "concurrent": 8, "headers": map[string]any{"X-Host": "{host}"}, "query": map[string]any{"l": "{logstore}"},
			"sign": map[string]any{"secret": "s"}, "idempotency_header": "Idempotency-Key",
		},
		"lines by content": {"headers": map[string]any{"X-A": "{content.a}"}, "missing_field": "none", "success": []any{200}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flushertest.Run(t, http.Kind(), flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
				return startShelf(tb, options)
			}})
		})
	}
}

// shelf is a server that keeps every body it answered with a 2xx.
type shelf struct {
	mu      sync.Mutex
	records []flushertest.Record
	damaged error
	answer  func(nethttp.ResponseWriter)
}

const poison = "poison"

func startShelf(tb testing.TB, options map[string]any) flushertest.Target {
	s := &shelf{}
	server := httptest.NewServer(s)
	tb.Cleanup(server.Close)
	p := flushertest.NewProxy(tb, server.Listener.Addr().String())
	all := map[string]any{"url": "http://" + p.Addr() + "/in"}
	maps.Copy(all, options)
	return flushertest.Target{
		Options:   all,
		Stored:    s.stored,
		Break:     p.Break,
		Heal:      func() { s.answerWith(nil); p.Heal() },
		Hang:      p.Hang,
		Poison:    spoil,
		InitFails: []map[string]any{{"tls": map[string]any{"ca": "no/such/file.pem"}}},
		Answers: map[flushers.Class]func(){
			flushers.ClassRetry:         s.answers(nethttp.StatusServiceUnavailable, ""),
			flushers.ClassRetryAfter:    s.answers(nethttp.StatusTooManyRequests, "1"),
			flushers.ClassMisconfigured: s.answers(nethttp.StatusUnauthorized, ""),
			flushers.ClassPermanent:     s.answers(nethttp.StatusBadRequest, ""),
			flushers.ClassTooLarge:      s.answers(nethttp.StatusRequestEntityTooLarge, ""),
		},
	}
}

func spoil(g *protocol.LogGroup) {
	g.Logs[0].Contents = append(g.Logs[0].Contents, &protocol.Log_Content{Key: poison, Value: "yes"})
}

func (s *shelf) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // cut off
	}
	records, err := read(r.Header, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.answer != nil:
		s.answer(w)
	case err != nil:
		s.damaged = err
	case poisoned(records):
		nethttp.Error(w, "a log is poisoned", nethttp.StatusUnprocessableEntity)
	default:
		s.records = append(s.records, records...)
	}
}

// read takes a body as its headers say.
func read(h nethttp.Header, body []byte) ([]flushertest.Record, error) {
	encoding, err := protocol.ParseEncoding(h.Get("Content-Encoding"))
	if err != nil {
		return nil, err
	}
	format := protocol.FormatLogGroup
	switch t := h.Get("Content-Type"); t {
	case protocol.TypeLogGroup:
	case protocol.TypeLogGroupList:
		format = protocol.FormatLogGroupList
	case "application/x-ndjson":
		plain, err := unpack(body, encoding)
		if err != nil {
			return nil, err
		}
		return flushertest.JSONLines(plain)
	default:
		return nil, fmt.Errorf("the content type %q is not known", t)
	}
	_, groups, err := protocol.Scan(body, format, encoding, &protocol.Limits{Ratio: 1 << 20}, nil)
	var out []flushertest.Record
	for i := range groups {
		out = append(out, flushertest.Records(groups[i].Decode())...)
	}
	return out, err
}

func poisoned(records []flushertest.Record) bool {
	for i := range records {
		if records[i].Fields[poison] != "" {
			return true
		}
	}
	return false
}

func (s *shelf) stored() ([]flushertest.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]flushertest.Record(nil), s.records...), s.damaged
}

func (s *shelf) answers(status int, retryAfter string) func() {
	return func() {
		s.answerWith(func(w nethttp.ResponseWriter) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			nethttp.Error(w, "told to", status)
		})
	}
}

func (s *shelf) answerWith(f func(nethttp.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func unpack(body []byte, e protocol.Encoding) ([]byte, error) {
	switch e {
	case protocol.EncodingGzip:
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case protocol.EncodingSnappy:
		return snappy.Decode(nil, body)
	case protocol.EncodingZstd:
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return r.DecodeAll(body, nil)
	}
	return body, nil
}
