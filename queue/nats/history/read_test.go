package history_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/history"
	"github.com/flushline/flushline/test/natsbroker"
)

const budget = 1 << 20

func (s *shelf) input() *history.Input { return history.NewInput(s.conn, s.cfg, history.Options{}) }

func TestARangeEndsWhereItWasPlanned(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(300)
	one := s.one("51", "251")
	s.publish(100)
	g := s.all(s.input(), one, budget)
	g.check(t, run(51, 251, 1), nil)
	if names := s.consumers(); len(names) != 0 {
		t.Errorf("consumers %v are left", names)
	}
}

func TestSmallBudgetsBringAboutWhatTheyPayFor(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(500)
	one := s.one("earliest", "end")
	in := s.input()
	r := s.open(in, &one)
	g := &got{at: one.From}
	for before := int64(0); ; before = g.bytes {
		err := g.read(t, r, 100<<10)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := g.bytes - before; n > 150<<10 {
			t.Errorf("%d bytes for a budget of 100 KiB", n)
		}
	}
	g.check(t, run(1, 501, 1), nil)
	if err := g.read(t, r, budget); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestFiltersAndDeletedMessagesAreAbsent(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(400, "logs.a", "other.b", "logs.c", "other.d") // even sequences are others'
	for _, seq := range []uint64{5, 7, 8, 9, 397, 399} {
		if err := s.stream().DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	one := s.one("2", "end")
	want := slices.DeleteFunc(run(3, 401, 2), func(n int64) bool { return n >= 5 && n <= 9 || n == 397 || n == 399 })
	s.all(s.input(), one, budget).check(t, want, map[string]int64{job.PassedAbsent: 399 - int64(len(want))})

	s.cfg.Subjects = []string{"logs.c", "other.d"}
	s.all(s.input(), one, 10<<10).check(t,
		slices.DeleteFunc(run(3, 401, 1), func(n int64) bool { return n%4 != 3 && n%4 != 0 || n == 7 || n == 8 || n == 399 }),
		map[string]int64{job.PassedAbsent: 399 - 200 + 3})

	s.cfg.Subjects = []string{"other.nobody"}
	s.all(s.input(), one, budget).check(t, nil, map[string]int64{job.PassedAbsent: 399})

	s.cfg.Subjects = nil
	s.all(s.input(), one, budget).check(t,
		slices.DeleteFunc(run(2, 401, 1), func(n int64) bool { return slices.Contains([]int64{5, 7, 8, 9, 397, 399}, n) }),
		map[string]int64{job.PassedAbsent: 6})
}

func TestWhatExpiresBeforeWeComeIsSaid(t *testing.T) {
	t.Parallel()
	for name, subjects := range map[string][]string{"no filter": nil, "filter": {"logs.>"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t)
			s.cfg.Subjects = subjects
			s.publish(300)
			one := s.one("1", "end")
			in := s.input()
			r := s.open(in, &one)
			g := &got{at: one.From}
			if err := g.read(t, r, 40*1040); err != nil {
				t.Fatal(err)
			}
			n := g.at
			if n < 20 || n > 80 {
				t.Fatalf("the first batch ends at %d", n)
			}
			if err := s.stream().Purge(t.Context(), jetstream.WithPurgeSequence(200)); err != nil {
				t.Fatal(err)
			}
			for _, seq := range []uint64{250, 300} {
				if err := s.stream().DeleteMsg(t.Context(), seq); err != nil {
					t.Fatal(err)
				}
			}
			s.rest(r, g, one, budget)
			g.check(t, slices.Concat(run(1, n, 1), run(200, 250, 1), run(251, 300, 1)),
				map[string]int64{job.PassedExpired: 200 - n, job.PassedAbsent: 2})
		})
	}
}

func TestAStreamThatWasEmptied(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(50)
	one := s.one("11", "end")
	if err := s.stream().Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.all(s.input(), one, budget).check(t, nil, map[string]int64{job.PassedExpired: 40})
	s.publish(50) // also when the stream has gone on
	s.all(s.input(), one, budget).check(t, nil, map[string]int64{job.PassedExpired: 40})
}

// What an age limit takes is expired as what a purge takes.
func TestAgeTakesMessages(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(100)
	one := s.one("1", "end")
	config := s.stream().CachedInfo().Config
	config.MaxAge, config.Duplicates = 500*time.Millisecond, 100*time.Millisecond
	if _, err := s.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	until(t, "everything expires", func() bool { return s.stream().CachedInfo().State.Msgs == 0 })
	s.all(s.input(), one, budget).check(t, nil, map[string]int64{job.PassedExpired: 100})
}

func TestAStreamMadeAnewIsRefused(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(300)
	one := s.one("1", "end")
	in := s.input()
	r := s.open(in, &one)
	g := &got{at: one.From}
	if err := g.read(t, r, 40*1040); err != nil {
		t.Fatal(err)
	}
	changes := func(r job.Reader, g *got, why string) {
		t.Helper()
		var changed *job.ChangedError
		if err := g.read(t, r, budget); !errors.As(err, &changed) || changed.Slice != one.Name || !strings.Contains(changed.Why, why) {
			t.Errorf("it says %v, want a ChangedError with %q", err, why)
		}
	}
	if err := s.js.DeleteStream(t.Context(), "LOGS"); err != nil {
		t.Fatal(err)
	}
	changes(r, g, "was deleted")
	s.make()
	s.publish(300)
	n := len(g.seqs)
	changes(r, g, "made anew")
	changes(s.open(in, &one), &got{at: 1}, "made anew")
	if len(g.seqs) != n || len(s.consumers()) != 0 {
		t.Errorf("%d messages of the new stream, consumers %v", len(g.seqs)-n, s.consumers())
	}
}

func TestAServerRestartMidRange(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(2000)
	one := s.one("1", "1500")
	r := s.open(s.input(), &one)
	g := &got{at: one.From}
	for g.at < 300 {
		if err := g.read(t, r, 100<<10); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := r.Read(ctx, budget); !job.IsAway(err) {
		t.Errorf("without a server: %v", err)
	}
	s.Broker.Start()
	s.rest(r, g, one, 100<<10)
	g.check(t, run(1, 1500, 1), nil)
}

func TestAConsumerThatIsGoneIsReplaced(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(1000)
	one := s.one("1", "end")
	r := s.open(history.NewInput(s.conn, s.cfg, history.Options{Idle: time.Second}), &one)
	g := &got{at: one.From}
	for i := 0; ; i++ {
		err := g.read(t, r, 200<<10)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 { // the server removes it by itself
			until(t, "the consumer is removed", func() bool { return len(s.consumers()) == 0 })
		}
		if i == 3 {
			for _, name := range s.consumers() {
				if err := s.js.DeleteConsumer(t.Context(), "LOGS", name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	g.check(t, run(1, 1001, 1), nil)
	if g.away {
		t.Error("a consumer that is gone was taken for an absent server")
	}
}

// Deliveries that never arrive leave a hole in the numbers of the others, and a
// consumer that has nothing more has not brought everything.
func TestLostDeliveriesAreReadAgain(t *testing.T) {
	t.Parallel()
	for name, each := range map[string]int{"some": 3, "all that is left": 1000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stolen(t, each)
		})
	}
}

func stolen(t *testing.T, each int) {
	t.Helper()
	s := newShelf(t)
	s.publish(1000)
	one := s.one("1", "end")
	r := s.open(s.input(), &one)
	g := &got{at: one.From}
	thief := s.JetStream(s.Connect())
	for range 5 {
		if err := g.read(t, r, 100<<10); err != nil {
			t.Fatal(err)
		}
		for _, name := range s.consumers() {
			c, err := thief.Consumer(t.Context(), "LOGS", name)
			if err != nil {
				t.Fatal(err)
			}
			loot, err := c.FetchNoWait(each)
			if err != nil {
				t.Fatal(err)
			}
			for m := range loot.Messages() {
				if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream < uint64(g.at) {
					t.Errorf("stole %+v and %v, want what comes next", meta, err)
				}
			}
		}
	}
	s.rest(r, g, one, 100<<10)
	g.check(t, run(1, 1001, 1), nil)
}

// The line breaks again and again while messages are on it.
func TestALineThatBreaksLosesNothing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(2000)
	one := s.one("1", "1991")
	line := new(natsbroker.Line)
	conn := s.Connect(natsgo.SetCustomDialer(line))
	r := s.open(history.NewInput(conn, s.cfg, history.Options{}), &one)
	g := &got{at: one.From}
	stop, stopped := make(chan struct{}), make(chan struct{})
	cuts := 0
	go func() {
		defer close(stopped)
		for ; cuts < 12; cuts++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				line.Cut()
				line.Mend()
			}
		}
	}()
	for g.at < one.To {
		if err := g.read(t, r, 60<<10); err != nil {
			t.Fatal(err)
		}
		if g.at%7 == 0 {
			time.Sleep(time.Millisecond) // so that the line breaks often enough
		}
	}
	close(stop)
	<-stopped
	g.check(t, run(1, 1991, 1), nil)
	t.Logf("%d cuts", cuts)
}

func TestLargeMessages(t *testing.T) {
	t.Parallel()
	b := natsbroker.Start(t, func(o *server.Options) { o.MaxPayload = 8 << 20 })
	s := &shelf{Broker: b, cfg: b.Config(), conn: b.Connect()}
	s.js = b.JetStream(s.conn)
	s.make()
	put := func(size int) {
		if _, err := s.js.Publish(t.Context(), "logs.a", make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		put(10)
		put(8 << 20)
		put(8 << 20)
	}
	if _, err := s.js.Publish(t.Context(), "other.a", make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	one := s.one("1", "end")
	s.all(s.input(), one, 64<<10).check(t, run(1, 10, 1), map[string]int64{job.PassedAbsent: 1})
	s.cfg.Subjects = []string{"other.>"} // the next message of a subject is asked for with all its bytes
	s.all(s.input(), job.Slice{Name: one.Name, From: 1, To: 5, Stamp: one.Stamp}, 64<<10).check(t, nil, map[string]int64{job.PassedAbsent: 4})
}

func TestMessagesAreThoseOfASource(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	want := queue.Origin{1, 2, 3}
	m := natsgo.NewMsg("logs.a")
	m.Data = []byte("value")
	m.Header.Set("x-log-project", "shop")
	if _, err := s.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	m.Header.Set(queue.HeaderOrigin, want.String())
	if _, err := s.js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	s.publish(1)
	one := s.one("1", "end")
	r := s.open(s.input(), &one)
	b, err := r.Read(t.Context(), budget)
	if err != nil || len(b.Messages) != 3 || len(b.Origins) != 3 {
		t.Fatalf("%d messages, %d origins, %v", len(b.Messages), len(b.Origins), err)
	}
	if b.Origins[0] != (queue.Origin{}) || b.Origins[1] != want || b.Origins[2] != (queue.Origin{}) {
		t.Errorf("origins %v", b.Origins)
	}
	raw, err := s.stream().GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	first := &b.Messages[0]
	project, _ := first.Header("X-Log-Project")
	if string(first.Value) != "value" || first.Subject != "logs.a" || project != "shop" || !first.Time.Equal(raw.Time) {
		t.Errorf("message %+v", first)
	}
	seed := nats.StreamSeed("LOGS", s.stream().CachedInfo().Created)
	if r.Seed().At(0, 1, raw.Time) != seed.At(0, 1, raw.Time) {
		t.Error("origins derive from another seed than those of a Source")
	}
}

func TestManyReadersAtOnceAndALiveConsumerThatNoticesNothing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(20_000)
	if _, err := nats.Setup(t.Context(), s.conn, s.cfg, nats.SetupOptions{}); err != nil {
		t.Fatal(err)
	}
	live, err := s.js.Consumer(t.Context(), "LOGS", "flushline")
	if err != nil {
		t.Fatal(err)
	}
	ms, err := live.Fetch(10)
	if err != nil {
		t.Fatal(err)
	}
	for m := range ms.Messages() {
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream <= 4 {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	before, err := live.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if lag, err := history.Lag(t.Context(), s.conn, s.cfg); err != nil || lag != 20_000-4 {
		t.Errorf("lag %d, %v", lag, err)
	}
	all := s.planned("committed", "end", 4)
	if len(all) != 16 || all[0].From != 5 {
		t.Fatalf("%d slices from %d", len(all), all[0].From)
	}
	in := s.input()
	var wg sync.WaitGroup
	found := make([]*got, len(all))
	for i, one := range all {
		r := s.open(in, &one)
		g := &got{at: one.From}
		found[i] = g
		wg.Go(func() {
			for {
				if err := g.read(t, r, 200<<10); err != nil {
					if !errors.Is(err, io.EOF) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	var seqs []int64
	for _, g := range found {
		seqs = append(seqs, g.seqs...)
	}
	(&got{seqs: seqs}).check(t, run(5, 20_001, 1), nil)
	after, err := live.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before.TimeStamp = after.TimeStamp
	if b, a := *before, *after; b.AckFloor != a.AckFloor && *b.AckFloor.Last != *a.AckFloor.Last || b.NumAckPending != a.NumAckPending ||
		b.NumPending != a.NumPending || b.Delivered.Consumer != a.Delivered.Consumer || b.NumRedelivered != a.NumRedelivered || !b.Created.Equal(a.Created) {
		t.Errorf("the live consumer was\n%+v\nand is\n%+v", b, a)
	}
}

// A reader that is told to stop goes on where it was.
func TestACancelledReadLosesNothing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(1000)
	one := s.one("1", "end")
	r := s.open(s.input(), &one)
	g := &got{at: one.From}
	for i := 0; g.at < one.To; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*100*time.Microsecond)
		b, err := r.Read(ctx, 50<<10)
		cancel()
		if err == nil {
			err = g.take(t, b)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err == nil {
			if err := g.read(t, r, 50<<10); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
	}
	g.check(t, run(1, 1001, 1), nil)
	until(t, "consumers of reads that were cancelled are removed", func() bool { return len(s.consumers()) <= 1 })
}

func TestASliceOfAnotherConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.cfg.Consumers = []nats.Consumer{{Stream: "LOGS", Durable: "a", Subjects: []string{"logs.>"}}, {Stream: "LOGS", Durable: "b"}}
	in := s.input()
	for _, name := range []string{"LOGS 1-5", "OTHER 1-5", "LOGS/c 1-5"} {
		var changed *job.ChangedError
		if _, err := in.Open(t.Context(), &job.Slice{Name: name, From: 1, To: 6}, 1); !errors.As(err, &changed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.publish(10, "logs.a", "other.b")
	all := s.planned("1", "end", 1)
	if len(all) != 2 || all[0].Name != "LOGS/a 1-10" || all[1].Name != "LOGS/b 1-10" {
		t.Fatalf("slices %+v", all)
	}
	s.all(in, all[0], budget).check(t, run(1, 11, 2), map[string]int64{job.PassedAbsent: 5})
	s.all(in, all[1], budget).check(t, run(1, 11, 1), nil)
}

// A server that lost its last messages gives their sequences to others.
func TestAStreamThatBecameShorterIsRefused(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(100)
	one := s.one("1", "end")
	one.To += 50
	in := s.input()
	in.BelieveAfter(50 * time.Millisecond)
	r := s.open(in, &one)
	g := &got{at: 1}
	if err := g.read(t, r, budget); err != nil {
		t.Fatal(err)
	}
	g.check(t, run(1, 101, 1), nil)
	_, err := r.Read(t.Context(), budget)
	var changed *job.ChangedError
	if err == nil || errors.As(err, &changed) {
		t.Errorf("at first: %v, want an error that may pass", err)
	}
	if err := g.read(t, r, budget); !errors.As(err, &changed) || !strings.Contains(changed.Why, "ends with sequence 100, but had 150") {
		t.Errorf("it says %v", err)
	}
}
