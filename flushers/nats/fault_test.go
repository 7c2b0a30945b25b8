package nats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/nats"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

var key = protocol.Key{Project: "shop", Logstore: "orders", Config: "c1"}

// live is an instance that has begun.
type live struct {
	*testing.T
	f interface {
		flushers.Flusher
		flushers.BatchFlusher
	}
	last uint32 // number of the last group
}

func decoded(t *testing.T, options map[string]any) *nats.Flusher {
	t.Helper()
	f, ok := nats.Kind().New().(*nats.Flusher)
	if !ok {
		t.Fatal("the kind makes something else")
	}
	if problems := option.Decode(option.FromAny(options), f); option.Failed(problems) {
		t.Fatalf("%+v", problems)
	}
	return f
}

func begin(t *testing.T, options map[string]any) *live {
	t.Helper()
	f := decoded(t, options)
	if err := f.Init(flushertest.NewContext(t, key)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &live{T: t, f: f}
}

// batch is n groups of one log, with ids that no other batch has.
func (l *live) batch(n int) *flushers.Batch {
	b := &flushers.Batch{Project: key.Project, Logstore: key.Logstore, Config: key.Config, Attempt: 1}
	for range n {
		l.last++
		g := &protocol.LogGroup{Logs: []*protocol.Log{{Time: 1_700_000_000, Contents: []*protocol.Log_Content{
			{Key: "id", Value: fmt.Sprint(l.last)}, {Key: "level", Value: []string{"info", "warn"}[l.last%2]},
		}}}}
		raw, err := g.Marshal()
		if err != nil {
			l.Fatal(err)
		}
		b.Groups, b.Raw = append(b.Groups, g), append(b.Raw, raw)
		b.IDs = append(b.IDs, protocol.ID{Origin: [16]byte{7}, Group: l.last})
	}
	return b
}

func (l *live) flush(b *flushers.Batch) error {
	ctx, cancel := context.WithTimeout(l.Context(), 20*time.Second)
	defer cancel()
	return l.f.FlushBatch(ctx, b)
}

// want fails unless the error is of a class and says something.
func (l *live) want(err error, class flushers.Class, says string) {
	l.Helper()
	if got, _ := flushers.Classify(err); got != class {
		l.Errorf("%v (%v), want %v", got, err, class)
	}
	if err != nil && !strings.Contains(err.Error(), says) {
		l.Errorf("%v\ndoes not say %q", err, says)
	}
}

// until tries the batch as the worker does: whenever the flusher is ready, until all of it
// is stored.
func (l *live) until(b *flushers.Batch) {
	l.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; <-time.After(20 * time.Millisecond) {
		var err error
		if l.f.IsReady(b.Project, b.Logstore, 0) {
			if err = l.flush(b); err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			l.Fatalf("not stored after a minute: %v", err)
		}
	}
}

// becomes waits until the flusher is ready, or is not.
func (l *live) becomes(ready bool) {
	l.Helper()
	for deadline := time.Now().Add(60 * time.Second); l.f.IsReady("", "", 0) != ready; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.Fatalf("ready is %v after a minute", !ready)
		}
	}
}

func (s *shelf) holds(want int) {
	s.Helper()
	got, err := s.stored()
	if err != nil || len(got) != want {
		s.Errorf("the stream holds %d logs (%v), want %d", len(got), err, want)
	}
}

func TestInitRefusesAStreamThatCannotStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stream  func(*jetstream.StreamConfig)
		options map[string]any
		says    string
	}{
		"another stream":   {options: map[string]any{"stream": "MISSING"}, says: "there is no stream MISSING: `nats stream add MISSING --subjects 'logs.shop.orders.c1'"},
		"another subject":  {options: map[string]any{"stream": "", "subject": "elsewhere.{logstore}.x-{tag.a}"}, says: `no stream listens to the subject "elsewhere.orders.*"`},
		"no answers":       {stream: func(c *jetstream.StreamConfig) { c.NoAck = true }, says: "no_ack"},
		"no such password": {options: map[string]any{"user": "nobody", "password": "wrong"}, says: "refused the credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, func(o *server.Options) {
				if c.options["user"] != nil {
					o.NoAuthUser = "us"
					o.Users = []*server.User{{Username: "us", Password: "s3cret"}}
				}
			})
			s.make(c.stream)
			f := decoded(t, s.options(c.options))
			err := f.Init(flushertest.NewContext(t, key))
			(&live{T: t}).want(err, flushers.ClassMisconfigured, c.says)
			if err == nil {
				_ = f.Stop()
			}
		})
	}
}

// A stream that takes no more is not the data's fault; when somebody made room nothing
// comes twice.
func TestAFullStreamIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.make(func(c *jetstream.StreamConfig) { c.MaxMsgs = 2 })
	l := begin(t, s.options(nil))
	b := l.batch(4)
	err := l.flush(b)
	var partial *flushers.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 2 {
		t.Fatalf("%v, want a partial error of two", err)
	}
	l.want(partial.Failed[2], flushers.ClassRetryAfter, "maximum messages exceeded")
	s.make(nil)
	l.until(b)
	s.holds(4)
}

func TestAStreamThatIsDeletedOrSealed(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.make(nil)
	l := begin(t, s.options(map[string]any{"stream": ""}))
	l.until(l.batch(1))
	if err := s.js.DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	b := l.batch(3)
	l.want(l.flush(b), flushers.ClassMisconfigured, "`nats stream add NAME --subjects 'logs.shop.orders.c1' --defaults`")
	s.make(nil)
	l.until(b)
	s.holds(3)
	s.make(func(c *jetstream.StreamConfig) { c.Sealed = true })
	l.want(l.flush(l.batch(2)), flushers.ClassMisconfigured, "sealed")
}

func TestAMessageNeverLandsInAnotherStream(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.make(nil)
	l := begin(t, s.options(nil))
	l.until(l.batch(1))
	s.make(func(c *jetstream.StreamConfig) { c.Subjects = []string{"moved.>"} })
	other := config(func(c *jetstream.StreamConfig) { c.Name = "OTHER" })
	if _, err := s.js.CreateStream(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	l.want(l.flush(l.batch(2)), flushers.ClassMisconfigured, "another stream than ARCHIVE listens there")
	st, err := s.js.Stream(t.Context(), "OTHER")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := st.Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Errorf("the other stream: %+v, %v", info, err)
	}
}

// A group too large is refused alone.
func TestAGroupTooLargeForTheServer(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.make(nil)
	l := begin(t, s.options(nil))
	b := l.batch(3)
	b.Raw[1] = make([]byte, 2<<20) // max_payload is 1 MiB
	err := l.flush(b)
	var partial *flushers.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 1 {
		t.Fatalf("%v, want a partial error of one", err)
	}
	l.want(partial.Failed[1], flushers.ClassTooLarge, "the server takes 1048576 bytes with headers")
	s.holds(2)
}

// Killed and started again while batches are published: all is stored, once.
func TestAServerThatIsRestarted(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.make(nil)
	l := begin(t, s.options(nil))
	const batches, size = 60, 20
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2 {
			<-time.After(100 * time.Millisecond)
			s.Stop()
			s.Start()
		}
	}()
	for range batches {
		l.until(l.batch(size))
		select {
		case <-done:
		case <-time.After(5 * time.Millisecond):
		}
	}
	<-done
	l.until(l.batch(size))
	s.holds((batches + 1) * size)
}

// The server answers nothing: the Flush ends in time as one that timed out, and what it
// had stored is not stored again.
func TestAServerThatIsSilent(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.make(nil)
	p := flushertest.NewProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	l := begin(t, s.options(map[string]any{"url": "nats://" + p.Addr(), "timeout": "1s"}))
	l.until(l.batch(1))
	p.Hang()
	b := l.batch(2)
	l.want(l.flush(b), flushers.ClassTimeout, "did not answer within")
	p.Break()
	l.becomes(false)
	p.Heal()
	l.until(b)
	s.holds(3)
}

func TestAWeakStreamIsWarnedAbout(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.make(func(c *jetstream.StreamConfig) { c.Duplicates = 5 * time.Second; c.Storage = jetstream.MemoryStorage })
	core, told := observer.New(zap.WarnLevel)
	process := new(flushertest.Process)
	for range 2 { // each lane finds it, and one says so
		f := decoded(t, s.options(nil))
		if err := f.Init(logged{process.Context(t, key), zap.New(core)}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Stop() })
	}
	var texts []string
	for _, line := range told.All() {
		texts = append(texts, line.Message)
	}
	all := strings.Join(texts, "\n")
	if len(texts) != 2 || !strings.Contains(all, "knows for 5s (duplicate_window)") || !strings.Contains(all, "is in memory") {
		t.Errorf("the warnings are:\n%s", all)
	}
}

// logged is a Context with a logger of the test's.
type logged struct {
	flushers.Context
	log *zap.Logger
}

func (l logged) Logger() *zap.Logger { return l.log }
