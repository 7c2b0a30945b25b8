package nats

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/queuetest"
)

// offline is a strand without a server: nothing it sends goes anywhere.
func offline() (s *strand, lost *string) {
	lost = new(string)
	host := queuetest.NewHost(1 << 20)
	s = &strand{
		conn: &Conn{line: newLine(), changed: newBroadcast()}, host: host, give: host.Give,
		book: newBook(), asker: newAsker(), kick: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		stir: make(chan struct{}, 1), mind: make(chan struct{}, 1),
		end: func(why string) { *lost = why },
	}
	s.numbers.Store(&numbers{ackWait: time.Minute})
	s.generation.Store(1)
	s.safe.Store(1)
	return s, lost
}

func message(attempt, seq int, stored int64) *nats.Msg {
	return &nats.Msg{
		Subject: "logs.a", Data: []byte("x"),
		Reply: fmt.Sprintf("$JS.ACK.LOGS.flushline.%d.%d.%d.%d.0", attempt, seq, seq, stored),
	}
}

// take accepts a message that was charged for on arrival.
func (s *strand) take(ms ...*nats.Msg) []*queue.Delivery {
	for _, m := range ms {
		s.delivered.Add(1)
		s.host.Charge(int64(m.Size()) + overhead)
	}
	ds, _ := s.accept(ms, time.Now())
	return ds
}

func TestARedeliveryReplacesTheReply(t *testing.T) {
	t.Parallel()
	s, lost := offline()
	ds := s.take(message(1, 7, 100), message(1, 8, 101))
	if again := s.take(message(2, 7, 100)); len(again) != 0 || *lost != "" {
		t.Fatalf("%d deliveries, lost %q", len(again), *lost)
	}
	ds[0].Ack()
	ds[0].Free()
	if replies := s.book.unsafe(1); len(replies) != 1 || !strings.Contains(replies[0], ".2.7.7.") {
		t.Errorf("owed acknowledgements %v, want that of the second delivery", replies)
	}
	if again := s.take(message(3, 7, 100)); len(again) != 0 {
		t.Error("an acknowledged message that the server may not know of was handed out again")
	}
}

// A stop gives messages back at the moment it ends its requests, and the server may send
// them to a request that it has still. Whoever took them for held would leave them to the
// ack wait.
func TestAReleasedMessageThatComesBackIsNotHeld(t *testing.T) {
	t.Parallel()
	s, lost := offline()
	ds := s.take(message(1, 7, 100), message(1, 8, 101))
	ds[0].Release()
	ds[0].Free()
	again := s.take(message(2, 7, 100), message(2, 8, 101))
	if len(again) != 1 || again[0].Message().Position != 7 || *lost != "" {
		t.Fatalf("%d deliveries, lost %q; want the released one", len(again), *lost)
	}
	if n := len(s.book.line) + len(s.book.odd); n != 2 {
		t.Errorf("%d messages in the book, want 2", n)
	}
}

// A sequence that comes back with another time is another message: swallowing it
// would lose it.
func TestAnotherMessageAtAKnownSequenceEndsTheStrand(t *testing.T) {
	t.Parallel()
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		s, lost := offline()
		s.take(message(1, 7, 100))
		if ds := s.take(message(1, 7, 200)); len(ds) != 0 || !strings.Contains(*lost, "sequence 7") {
			t.Errorf("%d deliveries, lost %q", len(ds), *lost)
		}
	})
	t.Run("ended", func(t *testing.T) {
		t.Parallel()
		s, lost := offline()
		for _, d := range s.take(message(1, 7, 100), message(1, 8, 101)) {
			d.Ack()
			d.Free()
		}
		s.safe.Store(2)
		s.tidy(time.Now())
		if len(s.book.line) != 0 {
			t.Fatal("settled records are kept")
		}
		if ds := s.take(message(2, 7, 100)); len(ds) != 0 || *lost != "" {
			t.Fatalf("the same message: %d deliveries, lost %q", len(ds), *lost)
		}
		if ds := s.take(message(1, 7, 200)); len(ds) != 0 || *lost == "" {
			t.Errorf("another message: %d deliveries, lost %q", len(ds), *lost)
		}
	})
}

// A redelivery may wait in the buffer until the worker has room, for longer than ended
// sequences are remembered otherwise.
func TestARedeliveryThatWaitedInTheBufferIsKnown(t *testing.T) {
	t.Parallel()
	s, _ := offline()
	for _, d := range s.take(message(1, 7, 100)) {
		d.Ack()
		d.Free()
	}
	s.safe.Store(2)
	now := time.Now()
	s.tidy(now)
	s.receive(message(2, 7, 100))
	for range 10 {
		now = now.Add(time.Minute)
		s.tidy(now)
	}
	if ds, _ := s.accept(s.collect(queue.Room{Messages: 1, Bytes: 1 << 20})); len(ds) != 0 {
		t.Fatal("a message that was acknowledged was handed out again")
	}
	for range 4 {
		now = now.Add(time.Minute)
		s.tidy(now)
	}
	if n := len(s.book.ended.blocks); n != 0 {
		t.Errorf("%d blocks of ended sequences are kept for ever", n)
	}
}

// What other pods held first comes out of order and is kept apart.
func TestRedeliveriesOfOtherPodsMessages(t *testing.T) {
	t.Parallel()
	s, _ := offline()
	ds := s.take(message(1, 10, 1000), message(2, 3, 300), message(2, 5, 500), message(1, 12, 1200))
	if len(ds) != 4 || ds[1].Attempt() != 2 {
		t.Fatalf("%d deliveries", len(ds))
	}
	if got := s.book.oldest(); got.UnixNano() != 300 {
		t.Errorf("oldest %v", got.UnixNano())
	}
	if again := s.take(message(3, 3, 300), message(2, 12, 1200)); len(again) != 0 {
		t.Errorf("%d came again", len(again))
	}
	for _, d := range ds {
		d.Ack()
		d.Free()
	}
	s.safe.Store(2)
	s.tidy(time.Now())
	if n := len(s.book.line) + len(s.book.odd); n != 0 {
		t.Errorf("%d settled records are kept", n)
	}
	if u := s.host.(*queuetest.Host).Usage(); u.Used != 0 {
		t.Errorf("%d bytes of the budget are in use", u.Used)
	}
}

func TestAnOriginInTheHeadersWins(t *testing.T) {
	t.Parallel()
	s, _ := offline()
	want := queue.Origin{1, 2, 3}
	m := message(1, 7, 100)
	m.Header = nats.Header{"X-Flushline-Origin": {want.String()}, "x-log-project": {"shop"}}
	bad := message(1, 8, 100)
	bad.Header = nats.Header{"x-flushline-origin": {"nonsense"}}
	ds := s.take(m, bad)
	if got := ds[0].Origin(); got != want {
		t.Errorf("origin %v, want %v", got, want)
	}
	if got := ds[1].Origin(); got != s.seed.At(0, 8, time.Unix(0, 100)) {
		t.Errorf("origin %v of an unreadable header, want that of the position", got)
	}
	if len(ds[0].Message().Headers) != 2 {
		t.Errorf("headers %v", ds[0].Message().Headers)
	}
}
