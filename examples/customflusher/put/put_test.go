package put_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/customflusher/put"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// start makes an instance as the worker does: the kind's defaults, the options of
// the entry, Init.
func start(t *testing.T, key protocol.Key, options map[string]any) flushers.BatchFlusher {
	t.Helper()
	f := put.Kind().New()
	for _, p := range option.Decode(option.FromAny(options), f) {
		t.Fatalf("option %s: %s", p.Path, p.Text())
	}
	if err := f.Init(flushertest.NewContext(t, key)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f.(flushers.BatchFlusher)
}

var key = protocol.Key{Project: "shop", Logstore: "../web", Config: "app"}

// batch is a batch of groups with one log each.
func batch(texts ...string) *flushers.Batch {
	b := &flushers.Batch{Project: key.Project, Logstore: key.Logstore, Config: key.Config, Attempt: 1}
	for i, text := range texts {
		b.IDs = append(b.IDs, protocol.ID{Group: uint32(i)})
		b.Groups = append(b.Groups, &protocol.LogGroup{Logs: []*protocol.Log{{
			Time: 86400, Contents: []*protocol.Log_Content{{Key: "msg", Value: text}},
		}}})
	}
	return b
}

func line(text string) string {
	return `{"contents":{"msg":"` + text + `"},"tags":{},"time":86400}` + "\n"
}

func path(id string) string {
	return "/logs/shop/___web/1970-01-02/00000000000000000000000000000000-" + id + ".jsonl"
}

func TestEachGroupIsOneObjectAndARepetitionStoresNothingNew(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	f := start(t, key, map[string]any{"url": s.url + "/logs/{project}/{logstore}/{date:2006-01-02}/"})
	b := batch("one", "two")
	b.Groups = append(b.Groups, &protocol.LogGroup{}) // groups without logs occur
	b.IDs = append(b.IDs, protocol.ID{Group: 2})
	for range 2 {
		if err := f.FlushBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{path("0"): line("one"), path("1"): line("two")}
	if diff := cmp.Diff(want, s.stored()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

func TestTheAnswerDecidesWhatHappensNext(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]flushers.Class{
		200: flushers.ClassNone, 201: flushers.ClassNone, 204: flushers.ClassNone,
		500: flushers.ClassRetry, 507: flushers.ClassRetry, 408: flushers.ClassRetry, 503: flushers.ClassRetry,
		413: flushers.ClassTooLarge, 400: flushers.ClassPermanent, 422: flushers.ClassPermanent,
		202: flushers.ClassMisconfigured, 302: flushers.ClassMisconfigured, 401: flushers.ClassMisconfigured,
		403: flushers.ClassMisconfigured, 404: flushers.ClassMisconfigured, 409: flushers.ClassMisconfigured,
	} {
		s := newShelf(t)
		s.answers(code)()
		f := start(t, key, map[string]any{"url": s.url})
		if got := classOf(f.FlushBatch(t.Context(), batch("one")), 0); got != want {
			t.Errorf("%d is classed as %s, want %s", code, got, want)
		}
	}
}

func TestAPageBehindARedirectIsNoStoredObject(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			http.Redirect(w, r, "/welcome", http.StatusSeeOther)
		}
	}))
	t.Cleanup(server.Close)
	f := start(t, key, map[string]any{"url": server.URL})
	if got := classOf(f.FlushBatch(t.Context(), batch("one")), 0); got != flushers.ClassMisconfigured {
		t.Errorf("a redirect to a page is classed as %s, want misconfigured", got)
	}
}

// classOf is how the worker reads what a batch's group came to.
func classOf(err error, group int) flushers.Class {
	var partial *flushers.PartialError
	if errors.As(err, &partial) {
		err = partial.Failed[group]
	}
	class, _ := flushers.Classify(err)
	return class
}

func TestWhatWasStoredBeforeAFailureIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.answer = func(_ *http.Request, body string) int {
		switch {
		case strings.Contains(body, "poison"):
			return http.StatusUnprocessableEntity
		case strings.Contains(body, "down"):
			return http.StatusInternalServerError
		}
		return 0
	}
	f := start(t, key, map[string]any{"url": s.url})
	err := f.FlushBatch(t.Context(), batch("one", "poison", "three", "down", "five"))
	got := make([]flushers.Class, 5)
	for i := range got {
		got[i] = classOf(err, i)
	}
	want := []flushers.Class{
		flushers.ClassNone, flushers.ClassPermanent, flushers.ClassNone, flushers.ClassRetry, flushers.ClassRetry,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	if s.puts != 4 {
		t.Errorf("%d requests, want 4: none after the server failed", s.puts)
	}
}

func TestAHostThatIsDownMakesItUnreadyForASecond(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close() // nobody listens there any more
	f := start(t, key, map[string]any{"url": s.URL})
	ready := func() bool {
		return f.(flushers.Flusher).IsReady(key.Project, key.Logstore, key.LogstoreKey())
	}
	if !ready() {
		t.Error("it is not ready although nothing was tried yet")
	}
	began := time.Now()
	if got := classOf(f.FlushBatch(t.Context(), batch("one")), 0); got != flushers.ClassRetry {
		t.Errorf("a refused connection is classed as %s, want retry", got)
	}
	if ready() && time.Since(began) < 900*time.Millisecond {
		t.Error("it is ready right after the host could not be reached")
	}
	for !ready() { // by itself, without any Flush
		if time.Since(began) > 20*time.Second {
			t.Fatal("it does not become ready again")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAServerThatHangsIsLeftInTime(t *testing.T) {
	t.Parallel()
	leave := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-leave
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(leave) })

	f := start(t, key, map[string]any{"url": server.URL, "timeout": "50ms"})
	if got := classOf(f.FlushBatch(endsAfter(t, 20*time.Second), batch("one")), 0); got != flushers.ClassTimeout {
		t.Errorf("no answer within timeout is classed as %s, want timeout", got)
	}

	f = start(t, key, map[string]any{"url": server.URL, "timeout": "20s"})
	err := f.FlushBatch(endsAfter(t, 50*time.Millisecond), batch("one")) // the worker gives the call up
	if got := classOf(err, 0); got != flushers.ClassRetry {
		t.Errorf("an ended context is classed as %s, want retry", got)
	}
}

func endsAfter(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(d, cancel)
	t.Cleanup(func() { timer.Stop(); cancel() })
	return ctx
}

func TestWrongOptionsAreRefusedWhenTheyAreLoaded(t *testing.T) {
	t.Parallel()
	if err := option.Check(put.Kind().New()); err != nil {
		t.Errorf("the tags are wrong: %v", err)
	}
	for url, want := range map[string]string{
		"dav.example.com/logs":                  "no http or https URL",
		"https://me:secret@dav.example.com":     "credentials belong in token",
		"https://{project}.example.com/logs":    "no http or https URL",
		"https://dav.example.com/{content.tid}": "not the same for all logs",
	} {
		problems := option.Decode(option.FromAny(map[string]any{"url": url}), put.Kind().New())
		if len(problems) != 1 || !strings.Contains(problems[0].Text(), want) {
			t.Errorf("url %s gives %v, want one problem with %q", url, problems, want)
		}
	}
}
