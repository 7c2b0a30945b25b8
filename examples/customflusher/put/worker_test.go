package put_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/customflusher/put"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

func TestThroughTheWorkerNothingIsLostNorStoredTwice(t *testing.T) {
	t.Parallel()
	const groups = 200
	s := newShelf(t)
	failures := 10
	s.answer = func(_ *http.Request, body string) int {
		switch {
		case strings.Contains(body, `"n":"13"`): // never, whoever asks
			return http.StatusUnprocessableEntity
		case failures > 0:
			failures--
			return http.StatusServiceUnavailable
		}
		return 0
	}

	q, letters := memory.New(memory.Config{}), memory.NewSink("letters")
	for n := range groups {
		q.Publish(message(t, n))
	}
	w, err := worker.New(worker.Config{
		Deployment: "test",
		Routes: []worker.Route{{Name: "all", Flushers: []worker.Entry{{
			Name: "put", Kind: put.Kind(), New: newPut(t, s.url), RetryInitial: 10 * time.Millisecond,
		}}}},
		DeadLetter: worker.DeadLetter{Sink: letters},
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.Run(running, q) }()

	patience, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := q.WaitAcked(patience, groups); err != nil {
		t.Fatalf("%v; the lanes: %+v", err, w.Status().Lanes)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	objects := s.stored()
	for n := range groups {
		if stored := holds(objects, n); stored != (n != 13) {
			t.Errorf("group %d: stored is %v", n, stored)
		}
	}
	if len(objects) != groups-1 {
		t.Errorf("%d objects, want %d", len(objects), groups-1)
	}
	if ms := letters.Messages(); len(ms) != 1 {
		t.Errorf("%d dead letters, want the one that the server refuses for ever", len(ms))
	} else if reason, _ := ms[0].Header(queue.HeaderReason); reason != worker.ReasonPermanent {
		t.Errorf("the dead letter's reason is %q", reason)
	}
}

// newPut makes an instance for each lane, with the options filled in.
func newPut(t *testing.T, url string) func() flushers.Flusher {
	return func() flushers.Flusher {
		f := put.Kind().New()
		for _, p := range option.Decode(option.FromAny(map[string]any{"url": url + "/{logstore}", "concurrency": 2}), f) {
			t.Errorf("option %s: %s", p.Path, p.Text())
		}
		return f
	}
}

// message is what a program publishes: a LogGroup, and its key in the headers.
func message(t *testing.T, n int) queue.Message {
	t.Helper()
	g := &protocol.LogGroup{Logs: []*protocol.Log{{
		Time: uint32(time.Now().Unix()), Contents: []*protocol.Log_Content{{Key: "n", Value: fmt.Sprint(n)}},
	}}}
	value, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return queue.Message{Value: value, Headers: []queue.Header{
		{Key: protocol.HeaderProject, Value: "shop"},
		{Key: protocol.HeaderLogstore, Value: fmt.Sprintf("store%d", n%5)},
		{Key: protocol.HeaderConfig, Value: "app"},
	}}
}

func holds(objects map[string]string, n int) bool {
	for _, body := range objects {
		if strings.Contains(body, fmt.Sprintf(`"n":"%d"`, n)) {
			return true
		}
	}
	return false
}
