package nats_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// letters is a broker with its dead letter sink.
func letters(t *testing.T, with ...func(*server.Options)) (*broker, *nats.Conn, *nats.Sink) {
	t.Helper()
	b := startBroker(t, with...)
	cfg := b.config()
	conn := b.connect(cfg)
	b.setUp(conn, cfg)
	sink, err := nats.DeadLetters(t.Context(), conn, cfg, cfg.List()[0])
	if err != nil {
		t.Fatal(err)
	}
	return b, conn, sink
}

const dlq = "LOGS_flushline_DLQ"

func TestPutKeepsOrderAndHeaders(t *testing.T) {
	t.Parallel()
	b, conn, sink := letters(t)
	ms := make([]queue.Message, 1000)
	for i := range ms {
		ms[i] = queue.Message{
			Value: fmt.Appendf(nil, "value %d", i), Subject: fmt.Sprintf("route.es.shop.access.c%d", i%7),
			Headers: []queue.Header{{Key: "X-Mixed-Case", Value: fmt.Sprint(i)}, {Key: "Nats-Msg-Id", Value: "the producer's"}, {Key: "nats-rollup", Value: "all"}},
		}
	}
	if errs := sink.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	ids := map[string]bool{}
	got := b.stored(conn, dlq)
	if len(got) != len(ms) {
		t.Fatalf("%d stored", len(got))
	}
	for i, m := range got {
		if string(m.Data) != string(ms[i].Value) || m.Subject != dlq+"."+ms[i].Subject {
			t.Fatalf("message %d is %q on %s", i, m.Data, m.Subject)
		}
		ids[m.Header.Get("Nats-Msg-Id")] = true
		want := map[string]string{"X-Mixed-Case": fmt.Sprint(i), "x-flushline-was-nats-msg-id": "the producer's", "x-flushline-was-nats-rollup": "all"}
		for k, v := range want {
			if vs := m.Header[k]; len(vs) != 1 || vs[0] != v {
				t.Fatalf("message %d: header %s is %q, want %q", i, k, vs, v)
			}
		}
	}
	if len(ids) != len(ms) {
		t.Errorf("%d message ids for %d messages", len(ids), len(ms))
	}
}

func TestLetterSubjectsAreMendedNeverRefused(t *testing.T) {
	t.Parallel()
	b, conn, sink := letters(t)
	long := strings.Repeat("x", 3000)
	tests := []struct{ given, want string }{
		{"", "unrouted"},
		{"r.f.shop.access.%2Fetc", "r.f.shop.access.%2Fetc"},
		{"r.f...c", "r.f.%.%.c"},
		{"r.f.a b.*.>", "r.f.a%20b.%2A.%3E"},
		{"r.f.ü\r\n.x.y", "r.f.%C3%BC%0D%0A.x.y"},
		{"r.f." + long + ".x.y", "r.f.long."},
		{long, "long."},
	}
	var ms []queue.Message
	for _, tt := range tests {
		ms = append(ms, queue.Message{Subject: tt.given})
	}
	if errs := sink.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	for i, m := range b.stored(conn, dlq) {
		got := strings.TrimPrefix(m.Subject, dlq+".")
		if strings.HasSuffix(tests[i].want, "long.") && len(got) > len(tests[i].want) {
			got = got[:len(tests[i].want)]
		}
		if got != tests[i].want {
			t.Errorf("%.40q is stored under %q, want %q", tests[i].given, got, tests[i].want)
		}
	}
}

func TestAPublisherChecksSubjects(t *testing.T) {
	t.Parallel()
	b, conn, _ := letters(t)
	p, err := nats.NewPublisher(t.Context(), conn, "LOGS")
	if err != nil {
		t.Fatal(err)
	}
	errs := p.Put(t.Context(), []queue.Message{
		{Subject: "logs.shop.access.c", Value: []byte("a")},
		{Subject: "logs.*"},
		{Subject: ""},
		{Subject: dlq + ".elsewhere", Value: []byte("another stream's")},
		{Subject: "logs.shop.access.c", Value: []byte("b")},
	})
	if len(errs) != 5 || errs[0] != nil || errs[1] == nil || errs[2] == nil || errs[3] == nil || errs[4] != nil {
		t.Fatalf("errors %v, want only the first and the last stored", errs)
	}
	if got := b.stored(conn, "LOGS"); len(got) != 2 || string(got[1].Data) != "b" {
		t.Errorf("%d stored", len(got))
	}
	if _, err := nats.NewPublisher(t.Context(), conn, "NOWHERE"); err == nil {
		t.Error("a publisher to a missing stream")
	}
}

// Sizes around every limit: nothing is refused, nothing exceeds what the server
// takes, and the joiner gives back what was put.
func TestWhatIsTooLargeIsCompressedOrCut(t *testing.T) {
	t.Parallel()
	const limit = 16 << 10
	for _, tt := range []struct {
		name string
		opts func(*server.Options)
		max  int32
	}{
		{"max_payload", func(o *server.Options) { o.MaxPayload = limit }, -1},
		{"max_msg_size", func(*server.Options) {}, limit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t, tt.opts)
			conn := b.connect(b.config())
			if _, err := b.js(conn).CreateStream(t.Context(), jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>"}, MaxMsgSize: tt.max}); err != nil {
				t.Fatal(err)
			}
			sink, err := nats.NewPublisher(t.Context(), conn, "LOGS")
			if err != nil {
				t.Fatal(err)
			}
			var ms []queue.Message
			for i, n := range []int{0, 100, limit - 200, limit - 140, limit - 130, limit - 120, limit - 110, limit - 100, limit - 90, limit - 80, limit - 10, limit, limit + 1, 2 * limit, 5*limit + 17} {
				ms = append(ms, queue.Message{Subject: "logs.x", Value: noise(byte(i), n), Headers: []queue.Header{{Key: "n", Value: fmt.Sprint(i)}}})
			}
			ms = append(ms, queue.Message{Subject: "logs.x", Value: bytes.Repeat([]byte("compressible "), limit), Headers: []queue.Header{{Key: "n", Value: fmt.Sprint(len(ms))}}})
			if errs := sink.Put(t.Context(), ms); errs != nil {
				t.Fatal(errs)
			}
			changed := map[string]bool{}
			for _, raw := range b.stored(conn, "LOGS") {
				if n := raw.Header["n"]; len(n) == 1 && (raw.Header[queue.HeaderPart] != nil || raw.Header[queue.HeaderWrapped] != nil) {
					changed[n[0]] = true
				}
			}
			for i := range ms {
				if n := fmt.Sprint(i); sink.Fits(&ms[i]) == changed[n] {
					t.Errorf("message %s fits: %v, and was stored changed: %v", n, !changed[n], changed[n])
				}
			}
			var j queue.Joiner
			got := 0
			for _, raw := range b.stored(conn, "LOGS") {
				m := queue.Message{Value: raw.Data, Position: int64(raw.Sequence)}
				for k, vs := range raw.Header {
					m.Headers = append(m.Headers, queue.Header{Key: k, Value: vs[0]})
				}
				w, err := j.Add(m)
				if err != nil {
					t.Fatal(err)
				}
				if w == nil {
					continue
				}
				if n, _ := w.Header("n"); n != fmt.Sprint(got) || !bytes.Equal(w.Value, ms[got].Value) {
					t.Fatalf("message %s of %d bytes came back as %d bytes, want message %d", n, len(w.Value), len(ms[got].Value), got)
				}
				got++
			}
			if got != len(ms) || len(j.Missing()) != 0 {
				t.Errorf("%d of %d came back, missing %+v", got, len(ms), j.Missing())
			}
		})
	}
}

func TestAFullStreamRefusesAndDropsNothing(t *testing.T) {
	t.Parallel()
	b, conn, sink := letters(t)
	js := b.js(conn)
	s, err := js.Stream(t.Context(), dlq)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxMsgs = 10
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	ms := make([]queue.Message, 15)
	for i := range ms {
		ms[i].Value = fmt.Append(nil, i)
	}
	errs := sink.Put(t.Context(), ms)
	if len(errs) != 15 {
		t.Fatalf("errors: %v", errs)
	}
	var confirmed []string
	for i, err := range errs {
		if err == nil {
			confirmed = append(confirmed, fmt.Sprint(i))
		} else if !strings.Contains(err.Error(), "full") || !strings.Contains(err.Error(), dlq) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	var stored []string
	for _, m := range b.stored(conn, dlq) {
		stored = append(stored, string(m.Data))
	}
	if diff := cmp.Diff(stored, confirmed); diff != "" || len(stored) != 10 {
		t.Errorf("confirmed is not what is stored (-stored +confirmed):\n%s", diff)
	}
}

func TestPutSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	b, conn, sink := letters(t)
	b.stop()
	done := make(chan []error, 1)
	ms := make([]queue.Message, 300)
	for i := range ms {
		ms[i].Value = fmt.Append(nil, i)
	}
	go func() { done <- sink.Put(t.Context(), ms) }()
	b.start()
	if errs := <-done; errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	for i, m := range b.stored(conn, dlq) {
		if string(m.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, m.Data)
		}
	}
}

// The server stores a put, its answer is lost with the connection: the retry
// carries the same message id, so nothing is stored twice.
func TestALostAnswerStoresNothingTwice(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	b.setUp(b.connect(cfg), cfg)
	m := &mute{}
	conn := b.connect(cfg, natsgo.SetCustomDialer(m))
	sink, err := nats.DeadLetters(t.Context(), conn, cfg, cfg.List()[0])
	if err != nil {
		t.Fatal(err)
	}
	m.set(true)
	done := make(chan []error, 1)
	ms := make([]queue.Message, 20)
	for i := range ms {
		ms[i].Value = fmt.Append(nil, i)
	}
	go func() { done <- sink.Put(t.Context(), ms) }()
	other := b.connect(cfg)
	s, err := b.js(other).Stream(t.Context(), dlq)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		info, err := s.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs == 20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 20 stored while the answers are lost", info.State.Msgs)
		}
		time.Sleep(5 * time.Millisecond)
	}
	select {
	case errs := <-done:
		t.Fatalf("put returned %v without an answer", errs)
	default:
	}
	m.cut()
	if errs := <-done; errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	if got := b.stored(other, dlq); len(got) != 20 {
		t.Errorf("%d stored, want 20", len(got))
	}
}

func TestPutEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b, _, sink := letters(t)
	b.stop()
	defer b.start()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	errs := sink.Put(ctx, []queue.Message{{Value: []byte("a")}, {Value: []byte("b")}})
	if len(errs) != 2 || errs[0] == nil || errs[1] == nil {
		t.Fatalf("put without a server: %v", errs)
	}
	if !strings.Contains(errs[0].Error(), dlq) {
		t.Errorf("the error does not name the stream: %v", errs[0])
	}
}

func TestConcurrentPuts(t *testing.T) {
	t.Parallel()
	b, conn, sink := letters(t)
	done := make(chan []error)
	for i := range 4 {
		go func() {
			var ms []queue.Message
			for j := range 100 {
				ms = append(ms, queue.Message{Value: fmt.Appendf(nil, "%d", j), Subject: fmt.Sprintf("r.f.p.l.%d", i)})
			}
			done <- sink.Put(t.Context(), ms)
		}()
	}
	for range 4 {
		if errs := <-done; errs != nil {
			t.Error(errors.Join(errs...))
		}
	}
	next := map[string]int{}
	for _, m := range b.stored(conn, dlq) {
		if string(m.Data) != fmt.Sprint(next[m.Subject]) {
			t.Fatalf("%s: message %d is %q", m.Subject, next[m.Subject], m.Data)
		}
		next[m.Subject]++
	}
	if len(next) != 4 || next[dlq+".r.f.p.l.3"] != 100 {
		t.Errorf("stored by subject: %v", next)
	}
}
