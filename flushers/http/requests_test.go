package http

import (
	"errors"
	"fmt"
	nethttp "net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/protocol"
)

// tagged is a group with a tag and a log for each message, of the given day of 1970.
func tagged(tag string, day uint32, messages ...string) *protocol.LogGroup {
	g := &protocol.LogGroup{LogTags: []*protocol.LogTag{{Key: "app", Value: tag}}}
	for _, m := range messages {
		level, _, _ := strings.Cut(m, "-")
		g.Logs = append(g.Logs, &protocol.Log{Time: day * 86400, Contents: []*protocol.Log_Content{
			{Key: "level", Value: level}, {Key: "content", Value: m},
		}})
	}
	return g
}

// got is what the server was sent, as "METHOD target X-A: body", for bodies of format raw
// or lines with a member content.
func got(s *server) []string {
	var all []string
	for _, r := range s.requests() {
		body := string(r.body)
		if strings.HasPrefix(body, "{") {
			var messages []string
			for _, part := range strings.Split(body, `"content":"`)[1:] {
				m, _, _ := strings.Cut(part, `"`)
				messages = append(messages, m)
			}
			body = strings.Join(messages, " ")
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s: %s", r.method, r.target, r.header.Get("X-A"), body)))
	}
	return all
}

func TestARequestForEachPlace(t *testing.T) {
	t.Parallel()
	groups := []*protocol.LogGroup{tagged("a/b", 0, "w-1", "e-2"), {}, tagged("c", 1, "w-3"), tagged("a/b", 0, "w-4")}
	for name, tc := range map[string]struct {
		path string
		set  func(*Flusher)
		want []string
	}{
		"the key": {"/{project}/{config}?x=1", func(f *Flusher) { f.Query = secrets("l", "{logstore}") }, []string{
			"POST /shop/c1?x=1&l=or%0D%0Aders+100%25 : w-1 e-2 w-3 w-4",
		}},
		"a tag in the path": {"/in/{tag.app}", nil, []string{"POST /in/a%2Fb : w-1 e-2 w-4", "POST /in/c : w-3"}},
		"a tag in a header": {"/", func(f *Flusher) { f.Headers = secrets("X-A", "t {tag.app}") }, []string{"POST / t a/b: w-1 e-2 w-4", "POST / t c: w-3"}},
		"a content":         {"/", func(f *Flusher) { f.Headers = secrets("X-A", "%{content.level}") }, []string{"POST / w: w-1 w-3 w-4", "POST / e: e-2"}},
		"the day": {"/", func(f *Flusher) { f.Query = secrets("day", "{date:2006-01-02}") }, []string{
			"POST /?day=1970-01-01 : w-1 e-2 w-4", "POST /?day=1970-01-02 : w-3",
		}},
		"each group": {"/", func(f *Flusher) { f.Request, f.Method = perGroup, "PUT" }, []string{"PUT / : w-1 e-2", "PUT / : w-3", "PUT / : w-4"}},
		"each group and place": {"/", func(f *Flusher) { f.Request, f.Headers = perGroup, secrets("X-A", "{content.level}") }, []string{
			"POST / w: w-1", "POST / e: e-2", "POST / w: w-3", "POST / w: w-4",
		}},
		"each log": {"/{tag.app}", func(f *Flusher) { f.Format, f.Method = formats.Raw, "PATCH" }, []string{
			"PATCH /a%2Fb : w-1", "PATCH /a%2Fb : e-2", "PATCH /c : w-3", "PATCH /a%2Fb : w-4",
		}},
		"each log as JSON": {"/", func(f *Flusher) { f.Format = formats.OneJSON }, []string{"POST / : w-1", "POST / : e-2", "POST / : w-3", "POST / : w-4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, status(200))
			f := start(t, new(flushertest.Process), s.URL+tc.path, tc.set)
			if err := flush(f, groups...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got(s)); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

// A group whose logs lack a field is refused for good, alone, and nothing of it is sent;
// missing_field says what stands for it.
func TestALogWithoutTheField(t *testing.T) {
	t.Parallel()
	lacks := tagged("x", 0, "w-1", "w-2")
	lacks.Logs[1].Contents = lacks.Logs[1].Contents[1:]
	s := serve(t, status(200))
	set := func(f *Flusher) { f.Headers = secrets("X-A", "s3cret {content.level}") }
	f := start(t, new(flushertest.Process), s.URL, set)
	err := flush(f, tagged("x", 0, "w-0"), lacks, tagged("x", 0, "w-3"))
	classes := failed(t, err)
	if diff := cmp.Diff(map[int]flushers.Class{1: flushers.ClassPermanent}, classes); diff != "" {
		t.Errorf("failed (-want +got):\n%s\n%v", diff, err)
	}
	if strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "content.level") {
		t.Errorf("the error shows a header or not the field: %v", err)
	}
	if diff := cmp.Diff([]string{"POST / s3cret w: w-0 w-3"}, got(s)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if class, _ := flushers.Classify(flush(f, lacks)); class != flushers.ClassPermanent {
		t.Errorf("alone: class %v, want permanent", class)
	}
	none := serve(t, status(200))
	f = start(t, new(flushertest.Process), none.URL, func(f *Flusher) { set(f); f.Missing = "none" })
	if err := flush(f, lacks); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"POST / s3cret w: w-1", "POST / s3cret none: w-2"}, got(none)); diff != "" {
		t.Errorf("requests with missing_field (-want +got):\n%s", diff)
	}
}

// failed is what a PartialError says.
func failed(t *testing.T, err error) map[int]flushers.Class {
	t.Helper()
	var partial *flushers.PartialError
	if !errors.As(err, &partial) {
		t.Fatalf("%v, want a PartialError", err)
	}
	classes := map[int]flushers.Class{}
	for i, err := range partial.Failed {
		classes[i], _ = flushers.Classify(err)
	}
	return classes
}

func TestAValueThatWouldLeaveThePath(t *testing.T) {
	t.Parallel()
	s := serve(t, status(200))
	f := start(t, new(flushertest.Process), s.URL+"/in/{tag.app}/x", nil)
	for _, value := range []string{"..", "."} {
		if class, _ := flushers.Classify(flush(f, tagged(value, 0, "w-1"))); class != flushers.ClassPermanent {
			t.Errorf("%s: class %v, want permanent", value, class)
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// What one request for a group meets is that of its group, and the others go on.
func TestSomeGroupsFail(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.answer = func(w nethttp.ResponseWriter, body string) {
		for code, mark := range map[int]string{400: "bad-", 413: "large-", 500: "down-"} {
			if strings.Contains(body, mark) {
				w.WriteHeader(code)
			}
		}
	}
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Request = perGroup })
	batch := func(messages ...string) (groups []*protocol.LogGroup) {
		for _, m := range messages {
			groups = append(groups, tagged("x", 0, m))
		}
		return groups
	}
	const permanent, large, retry = flushers.ClassPermanent, flushers.ClassTooLarge, flushers.ClassRetry
	for _, tc := range []struct {
		batch    []string
		want     map[int]flushers.Class
		requests int // a 400 is asked for twice
	}{
		{[]string{"a", "bad-1", "b"}, map[int]flushers.Class{1: permanent}, 4},
		{[]string{"bad-1", "bad-2"}, map[int]flushers.Class{0: permanent, 1: permanent}, 4},
		{[]string{"a", "large-1", "down-1", "b"}, map[int]flushers.Class{1: large, 2: retry}, 4},
		{[]string{"a", "down-1", "down-2", "down-3", "b", "c"}, map[int]flushers.Class{1: retry, 2: retry, 3: retry, 4: retry, 5: retry}, 4},
	} {
		before := len(s.requests())
		classes := failed(t, flush(f, batch(tc.batch...)...))
		if diff := cmp.Diff(tc.want, classes); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.batch, diff)
		}
		if n := len(s.requests()) - before; n != tc.requests {
			t.Errorf("%v: %d requests, want %d", tc.batch, n, tc.requests)
		}
	}
	for _, tc := range []struct {
		batch []string
		want  flushers.Class
	}{{[]string{"bad-1"}, permanent}, {[]string{"down-1", "down-2"}, retry}} {
		if class, _ := flushers.Classify(flush(f, batch(tc.batch...)...)); class != tc.want {
			t.Errorf("%v: class %v, want %v for the whole batch", tc.batch, class, tc.want)
		}
	}
}

// Of several groups that were refused in one request only some are to blame: none may
// become a dead letter for it, and the worker can still find out which.
func TestGroupsThatWereRefusedTogether(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.answer = func(w nethttp.ResponseWriter, body string) {
		if strings.Contains(body, "bad-") {
			w.WriteHeader(nethttp.StatusBadRequest)
		}
	}
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Headers = secrets("X-A", "{tag.app}") })
	good, bad, innocent := tagged("a", 0, "w-1"), tagged("b", 0, "bad-2"), tagged("b", 0, "w-3")
	want := map[int]flushers.Class{1: flushers.ClassRetry, 2: flushers.ClassRetry}
	if diff := cmp.Diff(want, failed(t, flush(f, good, bad, innocent))); diff != "" {
		t.Errorf("beside one that was taken (-want +got):\n%s", diff)
	}
	if class, _ := flushers.Classify(flush(f, bad, innocent)); class != flushers.ClassPermanent {
		t.Errorf("class %v of both, want permanent, so that the batch is halved", class)
	}
}

func TestRequestsRunBesideEachOther(t *testing.T) {
	t.Parallel()
	const most = 8
	var running, peak atomic.Int64
	full := make(chan struct{})
	s := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		if n := running.Add(1); n > peak.Load() {
			peak.Store(n)
			if n == most {
				close(full)
			}
		}
		<-full
		running.Add(-1)
		w.WriteHeader(nethttp.StatusNoContent)
	})
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.InFlight, f.Request = most, perGroup })
	if f.Concurrent() != most {
		t.Errorf("Concurrent is %d, want %d", f.Concurrent(), most)
	}
	done := make(chan error, 4)
	for n := range 4 {
		go func() {
			done <- flush(f, tagged("x", 0, fmt.Sprint(n)), tagged("x", 0, fmt.Sprint(n, "b")), tagged("x", 0, fmt.Sprint(n, "c")))
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if peak.Load() != most || len(s.requests()) != 12 {
		t.Errorf("%d at a time and %d requests, want %d and 12", peak.Load(), len(s.requests()), most)
	}
}

func TestExpectedStatuses(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]flushers.Class{
		202: flushers.ClassNone, 409: flushers.ClassNone, 200: flushers.ClassMisconfigured, 204: flushers.ClassMisconfigured,
		400: flushers.ClassPermanent, 503: flushers.ClassRetry,
	} {
		s := serve(t, status(code))
		f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) { f.Success = []int{202, 409} })
		if got, _ := flushers.Classify(flush(f, group("x"))); got != want {
			t.Errorf("%d: class %v, want %v", code, got, want)
		}
	}
}

// Only bytes that are sent as they are need no decoding.
func TestWhatIsDeclared(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  func(*Flusher)
		want bool
	}{
		"lines":              {func(*Flusher) {}, false},
		"bytes":              {func(f *Flusher) { f.Format = formats.LogGroup }, true},
		"bytes and the key":  {func(f *Flusher) { f.Format, f.Query = formats.LogGroup, secrets("a", "{project}-{host}") }, true},
		"bytes for each tag": {func(f *Flusher) { f.Format, f.Query = formats.LogGroup, secrets("a", "{tag.x}") }, false},
	} {
		f := newFlusher()
		f.URL = "http://127.0.0.1"
		tc.set(f)
		if k := Kind().As(f); k.Raw != tc.want || !k.NoRetain {
			t.Errorf("%s: Raw %v, want %v", name, k.Raw, tc.want)
		}
	}
}

func TestBytesByTag(t *testing.T) {
	t.Parallel()
	s := serve(t, status(200))
	f := start(t, new(flushertest.Process), s.URL, func(f *Flusher) {
		f.Format, f.Headers = formats.LogGroup, secrets("X-A", "{tag.app}")
	})
	a, b := tagged("a", 0, "1"), tagged("b", 0, "2")
	raw := [][]byte{a.AppendMarshal(nil), b.AppendMarshal(nil), a.AppendMarshal(nil)}
	raw[2] = append(raw[2], 0xf8, 0x01, 0x05) // unknown to us
	if err := f.FlushBatch(t.Context(), &flushers.Batch{Groups: []*protocol.LogGroup{a, b, a}, Raw: raw}); err != nil {
		t.Fatal(err)
	}
	all := s.requests()
	if len(all) != 2 || string(all[0].body) != string(formats.AppendGroupList(nil, [][]byte{raw[0], raw[2]})) || string(all[1].body) != string(raw[1]) {
		t.Errorf("requests %+v", all)
	}
}

func TestProblemsOfTemplates(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  func(*Flusher)
		path string
	}{
		"placeholder in the host":   {func(f *Flusher) { f.URL = "https://{tag.x}/y" }, "url"},
		"in the query of the url":   {func(f *Flusher) { f.URL = "https://x/y?a={tag.x}" }, "url"},
		"an unknown one":            {func(f *Flusher) { f.URL = "https://x/{tags.x}" }, "url"},
		"an unknown one in a query": {func(f *Flusher) { f.Query = secrets("a", "s3cret{nothing}") }, "query"},
		"in a header":               {func(f *Flusher) { f.Headers = secrets("A", "s3cret{nothing}") }, "headers"},
		"bytes by content":          {func(f *Flusher) { f.Format, f.Query = formats.LogGroup, secrets("a", "{content.x}") }, "format"},
		"a redirect is success":     {func(f *Flusher) { f.Success = []int{302} }, "success"},
		"a header of nothing":       {func(f *Flusher) { f.Idempotency = "a b" }, "idempotency_header"},
		"a signature's header":      {func(f *Flusher) { f.Sign.SignatureHeader = "" }, "sign.signature_header"},
	} {
		f := newFlusher()
		f.URL = "https://x/y"
		tc.set(f)
		var paths []string
		for _, p := range f.Validate() {
			paths = append(paths, p.Path)
			if strings.Contains(p.Message, "s3cret") {
				t.Errorf("%s: the message shows the value: %s", name, p.Message)
			}
		}
		if !slices.Equal(paths, []string{tc.path}) {
			t.Errorf("%s: problems of %v, want %s", name, paths, tc.path)
		}
	}
	f := newFlusher()
	f.URL, f.InFlight = "https://x", 65
	if got := f.Validate(); len(got) != 1 || !got[0].Warning || got[0].Path != "max_idle_conns" {
		t.Errorf("more requests than connections are kept: %+v", got)
	}
}
