package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// shows fails the test unless the strand's status has a state, and a cause with all of
// the words.
func (b *stand) shows(when, state string, words ...string) {
	b.Helper()
	st := b.strand.Status()
	if st.State != state {
		b.Errorf("%s the strand is %s (%s), want %s", when, st.State, st.Cause, state)
	}
	for _, w := range words {
		if !strings.Contains(st.Cause, w) {
			b.Errorf("%s the cause is %q, want %q in it", when, st.Cause, w)
		}
	}
}

// caughtUp has the strand read all that it knows of.
func (b *stand) caughtUp() {
	b.Helper()
	b.answer(wire.FetchedPartition{Records: messages("a", "b"), HighWatermark: 12, LastStable: 12})
	if ds, _ := b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20}); len(ds) != 2 {
		b.Fatalf("%d messages, want 2", len(ds))
	}
}

// A strand that waits for its topic to be confirmed says so, also when it had read the
// whole log before its pause, and with what keeps brokers from being asked.
func TestUnconfirmedTopicIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		b.strand.identify(topicID{7}, time.Now())
		b.caughtUp()
		time.Sleep(time.Minute)
		b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20})
		time.Sleep(confirmAfter)
		b.shows("for a moment", queue.StateConsuming)
		time.Sleep(time.Second)
		b.shows("unconfirmed", queue.StateBrokerAway, "after a pause", "none has for 4s")
		err := errors.New("couldn't ask who leads what: nobody answers")
		b.strand.src.silence.Store(&err)
		b.shows("unanswered", queue.StateBrokerAway, "nobody answers")
		b.strand.identify(topicID{7}, time.Now())
		b.shows("confirmed", queue.StateConsuming)
	})
}

// So does one whose lease has to be confirmed.
func TestUnconfirmedLeaseIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		b.answer(wire.FetchedPartition{Records: messages("a", "b"), HighWatermark: 20, LastStable: 20})
		b.doubt = true
		b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20})
		b.shows("at first", queue.StateConsuming)
		time.Sleep(confirmAfter + time.Second)
		b.shows("in doubt", queue.StateBrokerAway, "coordinator", "for 4s")
		b.doubt = false
		b.shows("confirmed", queue.StateConsuming)
	})
}

// A strand that nobody asks for is shown although what it knows of the log has been
// read: the log may have grown.
func TestUnaskedStrandIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		b.caughtUp()
		b.strand.collect(queue.Room{Messages: 7, Bytes: 1 << 20})
		b.leader.noteTaking(time.Now())
		time.Sleep(stallAfter)
		b.shows("at first", queue.StateConsuming)
		time.Sleep(time.Second)
		b.shows("without bytes to ask for", queue.StateStalled, "for 31s no broker was asked", "limits.in_flight since 31s")
	})
}

// One whose span is used up is paused by us. It is full, says where the message is that
// keeps it, and is not stalled, however long that takes.
func TestUsedUpSpanIsShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		b.strand.src.cfg.Span = 2
		b.caughtUp()
		b.strand.collect(queue.Room{Messages: 7, Bytes: 1 << 20})
		if b.strand.view(b.leader, time.Now()).asks {
			t.Fatal("it is asked for although its span is used up")
		}
		for range 2 {
			b.shows("with a used-up span", queue.StateConsuming, "the oldest unended message, at 10, is 2 messages behind")
			if !b.strand.Status().Full {
				t.Error("it is not full")
			}
			time.Sleep(time.Hour)
		}
		b.strand.Status()
		b.strand.cursor.mark.End(0)
		if st := b.strand.Status(); st.Full || st.State != queue.StateConsuming || st.Cause != "" {
			t.Errorf("with room in its span the strand is %+v", st)
		}
	})
}

// A used-up span is a pause: behind it, too, the topic may be another one.
func TestStarvedStrandWaitsForItsTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		st, room := b.strand, queue.Room{Messages: 9, Bytes: 1 << 20}
		st.src.cfg.Span = 2
		st.identify(topicID{7}, time.Now())
		b.caughtUp()
		held, _ := st.collect(room)
		if held != nil {
			t.Fatalf("%d messages came twice", len(held))
		}
		asks := func() bool { return st.view(b.leader, time.Now()).asks }
		time.Sleep(2 * paused)
		if asks() || len(st.src.kicked) != 0 {
			t.Fatal("with its span used up it is asked for, or its topic is")
		}
		st.cursor.mark.End(0)
		if asks() || len(st.src.kicked) != 1 {
			t.Error("when its span has room it is read before anybody was asked for its topic")
		}
		if st.identify(topicID{7}, time.Now()); !asks() {
			t.Error("confirmed, it is not read")
		}
	})
}

// A suspicion that cannot be looked into says what it takes.
func TestSuspicionSaysWhyItStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		b.strand.doubt("topic logs was away")
		time.Sleep(2 * blip)
		b.shows("suspect", queue.StateTopicMissing, "topic logs was away")
		b.strand.src.check(context.Background(), b.strand)
		b.shows("looked into", queue.StateTopicMissing, "topic logs was away", errNoLeader.Error())
	})
}
