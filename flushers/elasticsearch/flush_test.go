package elasticsearch_test

import (
	"encoding/base64"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	f := to(t, map[string]any{"index": "logs-{logstore}-{date:2006.01.02}", "operation": "index"}, s.URL)
	if err := f.FlushBatch(t.Context(), batch(1)); err != nil {
		t.Fatal(err)
	}
	want := `{"index":{"_index":"logs-web-2023.11.14","_id":"01000000000000000000000000000000-0-0"}}` + "\n" +
		`{"id":"0/0","host.name":"a","@timestamp":"2023-11-14T22:13:20Z"}` + "\n"
	if got := s.requests(); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.says(func(w http.ResponseWriter, docs []string) { items(w, make([]string, len(docs))...) })
	b := batch(1)
	if err := f.Flush(b.Project, b.Logstore, b.Config, b.Groups); err != nil {
		t.Fatal(err)
	}
	if got := s.requests(); len(got) != 1 || strings.Contains(got[0], `"_id"`) {
		t.Errorf("without ids %q was sent", got)
	}
	if err := f.FlushBatch(t.Context(), batch(0, 0)); err != nil || len(s.requests()) != 1 {
		t.Errorf("groups without logs: %v, %d requests", err, len(s.requests()))
	}
}

// Logs of one group may go to several indices, and a log without its name takes its
// group alone with it.
func TestNamesFollowTheLog(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	f := to(t, map[string]any{"index": "{content.app}-{date:2006.01.02}"}, s.URL)
	b := batch(2, 1, 1)
	name := func(l *protocol.Log, app string) {
		l.Contents = append(l.Contents, &protocol.Log_Content{Key: "app", Value: app})
	}
	name(b.Groups[0].Logs[0], "Shop")
	name(b.Groups[0].Logs[1], "billing")
	b.Groups[0].Logs[1].Time += 86_400
	name(b.Groups[2].Logs[0], "../x")
	err := f.FlushBatch(t.Context(), b)
	if got, want := classOf(t, err, 3), []string{"none", "permanent", "none"}; !slices.Equal(got, want) {
		t.Fatalf("%v (%v), want %v", got, err, want)
	}
	body := strings.Join(s.requests(), "")
	for _, want := range []string{`"_index":"shop-2023.11.14"`, `"_index":"billing-2023.11.15"`, `"_index":"x.._x-`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
	if strings.Count(body, "\n") != 6 {
		t.Errorf("sent %s", body)
	}
}

func TestCredentialsAndCompression(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options map[string]any
		header  string
		want    string
	}{
		"none":      {nil, "Authorization", ""},
		"basic":     {map[string]any{"user": "u", "password": "p:w"}, "Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p:w"))},
		"api key":   {map[string]any{"api_key": "aWQ6a2V5"}, "Authorization", "ApiKey aWQ6a2V5"},
		"iLogtail":  {map[string]any{"Authentication": map[string]any{"PlainText": map[string]any{"Username": "u", "Password": "p"}}}, "Authorization", "Basic dTpw"},
		"anonymous": {map[string]any{"Authentication": map[string]any{"PlainText": map[string]any{"Username": "", "Password": ""}}}, "Authorization", ""},
		"gzip":      {map[string]any{"compression": "gzip"}, "Content-Encoding", "gzip"},
	} {
		got := make(chan string, 1)
		s := newFake(t)
		inner := s.Config.Handler
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got <- r.Header.Get(tc.header)
			if tc.header == "Content-Encoding" {
				items(w, "")
				return
			}
			inner.ServeHTTP(w, r)
		})
		if err := to(t, tc.options, s.URL).FlushBatch(t.Context(), batch(1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if h := <-got; h != tc.want {
			t.Errorf("%s: %q, want %q", name, h, tc.want)
		}
	}
}

// An address that refuses connections is left out, and all of them make us unready.
func TestAddressesStandInForEachOther(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + l.Addr().String()
	l.Close()
	one, two := newFake(t), newFake(t)
	f := to(t, nil, dead, one.URL, two.URL)
	for range 12 {
		if err := f.FlushBatch(t.Context(), batch(1)); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := len(one.requests()), len(two.requests()); a < 3 || b < 3 || a+b != 12 {
		t.Errorf("%d and %d requests came, want 12 in turn", a, b)
	}
	alone := to(t, nil, dead)
	if class, _ := flushers.Classify(alone.FlushBatch(t.Context(), batch(1))); class != flushers.ClassRetry {
		t.Errorf("class %v, want a plain retry", class)
	}
	if alone.IsReady("", "", 0) {
		t.Error("ready right after the only address refused a connection")
	}
}

// Many lanes with little each share requests, and each has its own result.
func TestLanesShareRequests(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	s.says(func(w http.ResponseWriter, docs []string) {
		each := make([]string, len(docs))
		for i, d := range docs {
			if strings.Contains(d, "poison") {
				each[i] = failed(400, "mapper_parsing_exception", "poison")
			}
		}
		items(w, each...)
	})
	const lanes = 50
	p := new(flushertest.Process)
	results := make(chan error, lanes)
	for n := range lanes {
		k := key
		k.Logstore = "l" + string(rune('a'+n%26))
		f := start(t, p, k, map[string]any{"addresses": []any{s.URL}, "index": "logs-{logstore}", "join_wait": "2s", "bulks": 1})
		b := batch(1)
		b.IDs[0].Group = uint32(n)
		if n == 7 {
			b.Groups[0].Logs[0].Contents[0].Value = "poison"
		}
		go func() { results <- f.FlushBatch(t.Context(), b) }()
	}
	refused := 0
	for range lanes {
		if err := <-results; err != nil {
			if class, _ := flushers.Classify(err); class != flushers.ClassPartial || classOf(t, err, 1)[0] != "permanent" {
				t.Errorf("class %v: %v", class, err)
			}
			refused++
		}
	}
	if n := len(s.requests()); refused != 1 || n > 5 {
		t.Errorf("%d lanes were refused in %d requests, want one in a few", refused, n)
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	t.Parallel()
	for path, options := range map[string]map[string]any{
		"addresses[0]": {"addresses": []any{"es:9200"}},
		"addresses[1]": {"addresses": []any{"http://a:9200", "http://u:p@b:9200"}},
		"index":        {"index": "Logs"},
		"api_key":      {"api_key": "a", "user": "u", "password": "p"},
		"user":         {"password": "p"},
		"tls.cert":     {"tls": map[string]any{"cert": "a.pem"}},
		"pipeline":     {"pipeline": "a b"},
	} {
		all := map[string]any{"addresses": []any{"http://a:9200"}, "index": "logs"}
		for k, v := range options {
			all[k] = v
		}
		if !slices.Contains(problems(all), path) {
			t.Errorf("%v: problems at %q, want one at %s", options, problems(all), path)
		}
	}
}
