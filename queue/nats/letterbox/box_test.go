package letterbox

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
	"github.com/flushline/flushline/test/natsbroker"
)

func TestLetterBox(t *testing.T) {
	queuetest.RunLetterBox(t, queuetest.LetterHarness{
		Open: func(t *testing.T) queuetest.LetterQueue { return newRig(t) },
		Cut:  3 << 20,
	})
}

const dlq = "LOGS_flushline_DLQ"

// rig is a server with a dead letter stream.
type rig struct {
	*natsbroker.Broker
	cfg  *nats.Config
	conn *nats.Conn
	js   jetstream.JetStream
}

func newRig(t *testing.T, with ...func(*server.Options)) *rig {
	t.Helper()
	b := natsbroker.Start(t, with...)
	r := &rig{Broker: b, cfg: b.Config(), conn: b.Connect()}
	r.js = b.JetStream(r.conn)
	if _, err := nats.Setup(t.Context(), r.conn, r.cfg, nats.SetupOptions{DeadLetters: true}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) Sink() (queue.Sink, func(), error) {
	s, err := nats.DeadLetters(r.Context(), r.Connect(), r.cfg, r.cfg.List()[0])
	return s, func() {}, err
}

func (r *rig) Box() (queue.LetterBox, error) { return r.box(), nil }

func (r *rig) box() *Box {
	r.Helper()
	return New(r.Connect(), r.cfg.List()[0])
}

func (r *rig) Left() (int64, error) {
	s, err := r.js.Stream(r.Context(), dlq)
	if err != nil {
		return 0, err
	}
	return int64(s.CachedInfo().State.Msgs), nil
}

func (r *rig) Remove() error { return r.js.DeleteStream(r.Context(), dlq) }

// put stores letters with these names.
func (r *rig) put(names ...string) {
	r.Helper()
	s, _, err := r.Sink()
	if err != nil {
		r.Fatal(err)
	}
	for _, name := range names {
		if errs := s.Put(r.Context(), []queue.Message{message(name)}); errs != nil {
			r.Fatal(errs)
		}
	}
}

var lane = queue.Lane{Route: "shop", Flusher: "es", Project: "p", Logstore: "l", Config: "c"}

func message(name string) queue.Message {
	return queue.Message{Value: []byte(name), Subject: lane.String(), Headers: []queue.Header{
		{Key: queue.HeaderVersion, Value: queue.LetterFormat},
		{Key: queue.HeaderTo, Value: "prod/" + lane.Entry()},
	}}
}

func (r *rig) read(b *Box) (all []*queue.Letter) {
	r.Helper()
	if err := b.Letters(r.Context(), func(l *queue.Letter) error { all = append(all, l); return nil }); err != nil {
		r.Fatal(err)
	}
	return all
}

// shows fails unless the stream holds these letters.
func (r *rig) shows(names ...string) []*queue.Letter {
	r.Helper()
	all := r.read(r.box())
	var found []string
	for _, l := range all {
		found = append(found, string(l.Value))
	}
	if got, want := strings.Join(found, " "), strings.Join(names, " "); got != want {
		r.Fatalf("the stream shows %q, want %q", got, want)
	}
	return all
}

func (r *rig) delete(seqs ...uint64) {
	r.Helper()
	s, err := r.js.Stream(r.Context(), dlq)
	if err != nil {
		r.Fatal(err)
	}
	for _, seq := range seqs {
		if err := s.DeleteMsg(r.Context(), seq); err != nil {
			r.Fatal(err)
		}
	}
}

// Messages that are gone, at either end or between, are nothing to wait for.
func TestReadingDoesNotWaitForWhatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("a", "b", "c", "d", "e", "f")
	r.delete(1, 3, 5, 6)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n := 0
	if err := r.box().Letters(ctx, func(*queue.Letter) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("%d letters, %v; want 2", n, err)
	}
	r.delete(2, 4)
	if r.shows(); ctx.Err() != nil {
		t.Error("reading an empty stream waited")
	}
	r.put("g")
	r.shows("g")
}

// Nothing stays at the server of a box that has read, nor of one that was interrupted.
func TestABoxLeavesNoTrace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put("a", "b")
	r.shows("a", "b")
	enough := fmt.Errorf("enough")
	if err := r.box().Letters(t.Context(), func(*queue.Letter) error { return enough }); err == nil {
		t.Error("visit's error was lost")
	}
	s, err := r.js.Stream(t.Context(), dlq)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
}

// A lane that is no legal subject, or too long a one, is found in the headers.
func TestLanesThatAreNoSubjects(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s, _, err := r.Sink()
	if err != nil {
		t.Fatal(err)
	}
	lanes := []queue.Lane{
		{Route: "shop", Flusher: "es", Project: "p", Logstore: strings.Repeat("x", 1500), Config: "c"},
		{Route: "shop", Flusher: "es", Project: "p", Logstore: "l", Config: ""},
		{Route: "shop", Flusher: "es", Project: "a.b c*", Logstore: "ü", Config: ">"},
	}
	for _, l := range lanes {
		m := message("v")
		m.Subject = l.String()
		m.Headers = append(m.Headers, queue.Header{Key: "x-log-project", Value: l.Project}, queue.Header{Key: "x-log-logstore", Value: l.Logstore}, queue.Header{Key: "x-log-config", Value: l.Config})
		if errs := s.Put(t.Context(), []queue.Message{m}); errs != nil {
			t.Fatal(errs)
		}
	}
	for i, l := range r.read(r.box()) {
		if l.Subject != lanes[i].String() {
			t.Errorf("letter %d has the subject %q, want %q", i, l.Subject, lanes[i])
		}
	}
}

func TestAStreamThatIsMissingIsCalledSo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := r.Remove(); err != nil {
		t.Fatal(err)
	}
	var missing *queue.MissingError
	err := r.box().Letters(t.Context(), func(*queue.Letter) error { return nil })
	if !asMissing(err, &missing) || missing.Name != dlq || !strings.Contains(err.Error(), "flushline setup") {
		t.Errorf("a missing stream: %v", err)
	}
}
