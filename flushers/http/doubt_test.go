package http

import (
	"fmt"
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
	"github.com/flushline/flushline/protocol"
)

// A server that got half of a request answers 400 and closes. Who says so of the same
// body a third time, while a body as large passed, is believed, whatever else went
// wrong with it before.
func TestABadRequestOnAConnectionThatClosesIsBelievedWhenTheLineWorks(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(nethttp.StatusBadRequest)
	})
	bad := start(t, new(flushertest.Process), s.URL, nil)
	refused := func(name string, attempt int, want flushers.Class) {
		t.Helper()
		b := &flushers.Batch{Groups: []*protocol.LogGroup{group(name)}, Attempt: attempt}
		if got, _ := flushers.Classify(bad.FlushBatch(t.Context(), b)); got != want {
			t.Errorf("attempt %d of %s: class %v, want %v", attempt, name, got, want)
		}
	}
	large := strings.Repeat("x", 1000)
	works := func(size int) { bad.doubts.taken(size) }
	refused(large, 7, flushers.ClassRetry) // six attempts failed otherwise
	for range 5 {
		works(100) // a small body shows nothing of a large one
		refused(large, 8, flushers.ClassRetry)
	}
	works(2000)
	refused(large, 9, flushers.ClassRetry)
	refused(large, 10, flushers.ClassRetry)
	works(2000)
	refused(large, 11, flushers.ClassPermanent)
	refused(large, 1, flushers.ClassRetry) // told anew: another message may say the same
}

func TestAnswersInDoubtCountWhenTimeHasPassed(t *testing.T) {
	t.Parallel()
	var d doubts
	now := int64(time.Hour)
	apart := int64(doubtApart)
	for i, c := range []struct {
		at   int64
		want bool
	}{{now, false}, {now + apart - 1, false}, {now + apart, false}, {now + 2*apart - 1, false}, {now + 2*apart, true}} {
		if got := d.believe([]byte("x"), c.at); got != c.want {
			t.Errorf("answer %d: believed %v, want %v", i, got, c.want)
		}
	}
	if d.any.Load() {
		t.Error("a body that was believed is remembered")
	}
}

func TestOnlySomeBodiesInDoubtAreRemembered(t *testing.T) {
	t.Parallel()
	var d doubts
	d.believe([]byte("first"), 0)
	d.taken(5)
	d.believe([]byte("first"), 0)
	for i := range doubtMost {
		d.believe([]byte(fmt.Sprint(i)), 0)
	}
	if n := len(d.seen); n != doubtMost {
		t.Errorf("%d bodies are remembered, want %d", n, doubtMost)
	}
	d.taken(5)
	if d.believe([]byte("first"), 0) {
		t.Error("a body that was forgotten is counted on")
	}
}

// What a flusher is told of a success reaches the doubts.
func TestASuccessTellsThatTheLineWorks(t *testing.T) {
	t.Parallel()
	s := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) {})
	f := start(t, new(flushertest.Process), s.URL, nil)
	f.doubts.believe([]byte("x"), 0)
	if err := flush(f, group("larger than one byte")); err != nil {
		t.Fatal(err)
	}
	if !f.doubts.seen[0].works {
		t.Error("a larger body passed, and the line is not said to work")
	}
}

// A server that reads its requests itself answers 400 to half of one, and closes without
// saying so: what was cut on its way is stored on the next connection, and nothing is a
// dead letter. Who says it of a whole request is believed at the second time.
func TestABadRequestThatMayBeHalfOfOneIsAskedForOnceMore(t *testing.T) {
	t.Parallel()
	var asked, stored atomic.Int64
	s := httptest.NewUnstartedServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		asked.Add(1)
		switch body, err := io.ReadAll(r.Body); {
		case err != nil, strings.Contains(string(body), "wrong"):
			w.WriteHeader(nethttp.StatusBadRequest)
		default:
			stored.Add(1)
		}
	}))
	s.Listener = &cutting{Listener: s.Listener}
	s.Start()
	t.Cleanup(s.Close)
	f := start(t, new(flushertest.Process), s.URL, nil)
	if err := flush(f, group(strings.Repeat("x", 5000))); err != nil || stored.Load() != 1 || asked.Load() != 2 {
		t.Errorf("%v; asked %d times, %d stored", err, asked.Load(), stored.Load())
	}
	if class, _ := flushers.Classify(flush(f, group("wrong"))); class != flushers.ClassPermanent || asked.Load() != 4 {
		t.Errorf("class %v after %d requests", class, asked.Load()-2)
	}
}

// cutting ends what the first connection brings behind a part of a request, and lets
// answers pass.
type cutting struct {
	net.Listener
	before atomic.Bool
}

func (l *cutting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.before.Swap(true) {
		return c, err
	}
	return &half{Conn: c, most: io.LimitReader(c, 2000)}, nil
}

type half struct {
	net.Conn
	most io.Reader
}

func (h *half) Read(b []byte) (int, error) { return h.most.Read(b) }

// Close takes what is still on its way: a connection that is closed over unread bytes is
// reset, and the answer is lost with it.
func (h *half) Close() error {
	if tcp, ok := h.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // fails only if the client has gone, which the copy sees
		_, _ = io.Copy(io.Discard, tcp)
	}
	return h.Conn.Close()
}
