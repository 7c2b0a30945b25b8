package elasticsearch_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
)

// TestEachLogHasItsAnswer: what is said of a log decides for its group, and the worst
// of several; nothing that may still be stored is thrown away for what cannot be.
func TestEachLogHasItsAnswer(t *testing.T) {
	t.Parallel()
	var (
		full     = failed(429, "es_rejected_execution_exception", "queue is full")
		away     = failed(503, "unavailable_shards_exception", "not enough copies")
		mapping  = failed(400, "mapper_parsing_exception", "failed to parse field [age]")
		known    = failed(409, "version_conflict_engine_exception", "document already exists")
		block    = failed(403, "cluster_block_exception", "index [a] blocked by: [FORBIDDEN/8/index write (api)];")
		missing  = failed(404, "index_not_found_exception", "no such index [logs]")
		stream   = failed(400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams")
		noTime   = failed(400, "illegal_argument_exception", "data stream timestamp field [@timestamp] is missing")
		shards   = failed(400, "validation_exception", "this action would add [2] total shards, but this cluster currently has [1000]/[1000] maximum shards open;")
		broken   = failed(500, "null_pointer_exception", "")
		conflict = failed(409, "some_other_exception", "")
		text     = `"status":400,"error":"a text"`
	)
	for name, tc := range map[string]struct {
		items []string // of a group with two logs, and one with one
		want  []string
	}{
		"all stored":                     {[]string{"", "", ""}, []string{"none", "none"}},
		"stored before":                  {[]string{known, "", known}, []string{"none", "none"}},
		"a queue is full":                {[]string{"", full, ""}, []string{"retry_after", "none"}},
		"shards are away":                {[]string{"", "", away}, []string{"none", "retry_after"}},
		"it does not fit":                {[]string{mapping, "", ""}, []string{"permanent", "none"}},
		"both":                           {[]string{mapping, full, mapping}, []string{"retry_after", "permanent"}},
		"both, the other way":            {[]string{full, mapping, ""}, []string{"retry_after", "none"}},
		"blocked":                        {[]string{block, mapping, block}, []string{"misconfigured", "misconfigured"}},
		"blocked and full":               {[]string{full, block, full}, []string{"misconfigured", "retry_after"}},
		"no index":                       {[]string{"", "", missing}, []string{"none", "misconfigured"}},
		"a data stream takes no index":   {[]string{stream, "", ""}, []string{"misconfigured", "none"}},
		"a data stream needs a time":     {[]string{noTime, "", ""}, []string{"misconfigured", "none"}},
		"too many shards":                {[]string{"", shards, ""}, []string{"misconfigured", "none"}},
		"a defect":                       {[]string{"", broken, mapping}, []string{"retry", "permanent"}},
		"another conflict":               {[]string{"", conflict, ""}, []string{"retry", "none"}},
		"an error in words":              {[]string{"", text, ""}, []string{"permanent", "none"}},
		"a status that nobody knows":     {[]string{failed(299, "x", ""), "", ""}, []string{"retry", "none"}},
		"a defect and a full queue":      {[]string{broken, full, ""}, []string{"retry_after", "none"}},
		"everything is refused for good": {[]string{mapping, mapping, mapping}, []string{"permanent", "permanent"}},
	} {
		s := newFake(t)
		s.says(func(w http.ResponseWriter, _ []string) { items(w, tc.items...) })
		err := to(t, nil, s.URL).FlushBatch(t.Context(), batch(2, 1))
		if got := classOf(t, err, 2); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v (%v), want %v", name, got, err, tc.want)
		}
	}
}

func TestARequestHasItsAnswer(t *testing.T) {
	t.Parallel()
	type answer struct {
		status int
		header string
		body   string
		want   flushers.Class
		wait   time.Duration
		says   string
	}
	for name, tc := range map[string]answer{
		"unknown action":     {400, "", `{"error":{"type":"illegal_argument_exception","reason":"Malformed action"},"status":400}`, flushers.ClassRetry, 0, "Malformed action"},
		"no credentials":     {401, "", `{"error":{"type":"security_exception","reason":"missing authentication credentials"}}`, flushers.ClassMisconfigured, 0, "missing authentication"},
		"no right":           {403, "", "", flushers.ClassMisconfigured, 0, "403 Forbidden"},
		"another server":     {404, "", "<html>", flushers.ClassMisconfigured, 0, "<html>"},
		"not for posts":      {405, "", "", flushers.ClassMisconfigured, 0, "405"},
		"a text as error":    {406, "", `{"error":"Content-Type header [x] is not supported","status":406}`, flushers.ClassMisconfigured, 0, "is not supported"},
		"slow":               {408, "", "", flushers.ClassRetry, 0, "408"},
		"too much, later":    {429, "7", "", flushers.ClassRetryAfter, 7 * time.Second, "429"},
		"too much":           {429, "", `{"error":{"type":"es_rejected_execution_exception","reason":"rejected execution of coordinating operation [all_bytes=9, "}}`, flushers.ClassRetryAfter, 500 * time.Millisecond, "rejected execution"},
		"too large, alone":   {429, "", `{"error":{"type":"circuit_breaking_exception","reason":"Data too large","bytes_wanted":9,"bytes_limit":3,"durability":"TRANSIENT"}}`, flushers.ClassTooLarge, 0, "Data too large"},
		"a defect":           {500, "", "", flushers.ClassRetry, 0, "500"},
		"a proxy alone":      {502, "", "", flushers.ClassRetryAfter, 500 * time.Millisecond, "502"},
		"away":               {503, "", "", flushers.ClassRetryAfter, 500 * time.Millisecond, "503"},
		"away, for long":     {503, "9", "", flushers.ClassRetryAfter, 9 * time.Second, "503"},
		"elsewhere":          {302, "", "", flushers.ClassMisconfigured, 0, "redirects elsewhere"},
		"a page":             {200, "", "<html>It works!</html>", flushers.ClassRetry, 0, "couldn't believe"},
		"nothing":            {200, "", "", flushers.ClassRetry, 0, "couldn't believe"},
		"items are missing":  {200, "", `{"errors":false,"items":[{"create":{"status":201}}]}`, flushers.ClassRetry, 0, "it has 1 items"},
		"it is contradicted": {200, "", `{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":201}}]}`, flushers.ClassRetry, 0, "otherwise"},
	} {
		s := newFake(t)
		s.says(func(w http.ResponseWriter, _ []string) {
			if tc.header != "" {
				w.Header().Set("Retry-After", tc.header)
			}
			if tc.status == http.StatusFound {
				w.Header().Set("Location", "http://127.0.0.1:1/")
			}
			w.WriteHeader(tc.status)
			_, _ = io.WriteString(w, tc.body)
		})
		f := to(t, nil, s.URL)
		err := f.FlushBatch(t.Context(), batch(1, 1))
		class, wait := flushers.Classify(err)
		if partial := (*flushers.PartialError)(nil); errors.As(err, &partial) {
			class, wait = flushers.Classify(partial.Failed[0])
		}
		if class != tc.want || wait != tc.wait || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v after %s (%v), want %v after %s and %q", name, class, wait, err, tc.want, tc.wait, tc.says)
		}
		if ready := f.IsReady("", "", 0); ready != (tc.header == "") {
			t.Errorf("%s: ready %v", name, ready)
		}
	}
}

func TestAnAnswerThatIsCutOffIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	s.says(func(w http.ResponseWriter, _ []string) {
		w.Header().Set("Content-Length", "1000")
		items(w, "", "")
		panic(http.ErrAbortHandler)
	})
	f := to(t, nil, s.URL)
	if class, _ := flushers.Classify(f.FlushBatch(t.Context(), batch(2))); class != flushers.ClassRetry {
		t.Errorf("class %v, want a plain retry", class)
	}
	if f.process.Metric("documents_failed_total") != 2 || f.process.Metric("documents_stored_total") != 0 {
		t.Error("it is counted as stored")
	}
}

// A request that is too large is cut until it fits, and the next are not begun as large.
func TestRequestsAreCutUntilTheyFit(t *testing.T) {
	t.Parallel()
	s := newFake(t)
	const most = 2000
	s.says(func(w http.ResponseWriter, docs []string) {
		if sizes := len(strings.Join(docs, "")); sizes > most {
			w.WriteHeader(http.StatusRequestEntityTooLarge) // with no body, as they do
			return
		}
		items(w, make([]string, len(docs))...)
	})
	f := to(t, nil, s.URL)
	b := batch(100, 1, 0, 30)
	b.Groups[1].Logs[0].Contents[0].Value = strings.Repeat("x", most)
	err := f.FlushBatch(t.Context(), b)
	if got, want := classOf(t, err, 4), []string{"none", "too_large", "none", "none"}; !slices.Equal(got, want) {
		t.Fatalf("%v (%v), want %v", got, err, want)
	}
	if stored, refused := f.process.Metric("documents_stored_total"), f.process.Metric("documents_refused_total"); stored != 130 || refused != 1 {
		t.Errorf("%d stored, %d refused; want 130 and 1", stored, refused)
	}
	before := f.process.Metric("split_requests_total")
	if err := f.FlushBatch(t.Context(), batch(100)); err != nil {
		t.Fatal(err)
	}
	if after := f.process.Metric("split_requests_total"); before == 0 || after != before {
		t.Errorf("%d requests were cut at first and %d then, want some and none", before, after-before)
	}
}
