package kafka

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Another id ends the strand, whatever its offsets look like; nothing of its cursor
// is stored after that, nor does a check that is late change it.
func TestAnotherIDIsAnotherTopic(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	st := b.strand
	lost := ""
	st.lose = func(why string) { lost = why }
	b.strand.src.commitFor(st)
	b.answer(wire.FetchedPartition{Records: messages("a", "b"), HighWatermark: 20, LastStable: 20})

	now := time.Now()
	for _, id := range []topicID{{}, {7}, {7}, {}} {
		if st.identify(id, now); lost != "" || st.doubted() {
			t.Fatalf("with id %v the strand is lost: %s", id, lost)
		}
	}
	st.identify(topicID{8}, now)
	if lost == "" || st.again == nil || st.again.start != StartEarliest || st.again.position != -1 {
		t.Fatalf("with another id the strand is lost by %q and goes on at %+v", lost, st.again)
	}
	if n := st.Status().PassedOver["recreated"]; n != 8 {
		t.Errorf("%d messages are passed over as recreated, want 8 from 12 to 19", n)
	}
	errs := st.src.store(t.Context(), []mark{{cursor: st.cursor, offset: 12}}) // there is no member: sending it would panic
	if len(errs) != 1 || !errors.Is(errs[0], errHeldBack) {
		t.Errorf("a commit of the old topic gave %v", errs)
	}
	st.src.clear(st)
	if st.checking {
		t.Error("it is looked into whether the topic is another one, although that is known")
	}
	st.identify(topicID{9}, now)
	if n := st.Status().PassedOver["recreated"]; n != 8 {
		t.Errorf("it was counted again: %d", n)
	}
}

// The strand that follows takes the id of the new topic; if the atlas still has the
// old one, it waits for an answer that has another.
func TestStrandAfterAnotherTopic(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	src := b.strand.src
	c := world(map[string]int{"logs": 4})
	for _, test := range []struct{ known, former, want byte }{{7, 0, 7}, {7, 7, 0}, {8, 7, 8}} {
		logs := c.Topics["logs"]
		logs.ID = topicID{test.known}
		c.Topics["logs"] = logs
		src.atlas.learn(c, time.Now())
		next := src.newStrand(b.strand.lease, wanted{position: -1, start: StartEarliest, former: topicID{test.former}}, 1, nil)
		if next.id != (topicID{test.want}) {
			t.Errorf("after topic %d the strand of topic %d has id %v, want %d", test.former, test.known, next.id, test.want)
		}
		if (next.seed == nil) != next.barredLocked() || (next.seed == nil) != (test.want == 0) {
			t.Errorf("after topic %d: barred %v, seed %v", test.former, next.barredLocked(), next.seed)
		}
		if next.seed != nil {
			continue
		}
		if next.identify(topicID{9}, time.Now()); next.seed == nil || next.barredLocked() {
			t.Errorf("after topic %d, with an id that is known, it is not read", test.former)
		}
	}
}

// Other data at an old position is not taken for old, also if its producer set the time
// that the old one had.
func TestOriginsOfATopicMadeAnew(t *testing.T) {
	t.Parallel()
	seen := map[queue.Origin]topicID{}
	for _, id := range []topicID{{}, {7}, {8}} {
		origin := wire.Seed("cluster", "logs", id).At(0, 5, time.Unix(1, 0))
		if other, twice := seen[origin]; twice {
			t.Errorf("topics %v and %v give the same id to their messages", other, id)
		}
		seen[origin] = id
	}
}

// A strand that was paused is not read before brokers confirmed the topic, unless
// they just have; without ids nothing would be gained by that.
func TestPausedStrandWaitsForItsTopic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		st, room := b.strand, queue.Room{Messages: 9, Bytes: 1 << 20}
		asks := func() bool { return st.view(b.leader, time.Now()).asks }
		st.collect(room)
		time.Sleep(time.Minute)
		if st.collect(room); !asks() || len(st.src.kicked) != 0 {
			t.Fatal("a topic without id is not read after a pause")
		}
		st.identify(topicID{7}, time.Now())
		time.Sleep(paused / 2)
		if st.collect(room); !asks() {
			t.Error("a short pause keeps the strand from being read")
		}
		time.Sleep(2 * paused)
		asked := time.Now()
		time.Sleep(time.Millisecond)
		if st.collect(room); asks() || len(st.src.kicked) != 1 {
			t.Error("after a pause the strand is read before anybody was asked for its topic")
		}
		if _, ok := st.claim(b.leader, st.wish()); ok {
			t.Error("it can be claimed")
		}
		if st.identify(topicID{7}, asked); asks() {
			t.Error("an answer to what was asked before the pause ended let it be read")
		}
		if st.identify(topicID{7}, time.Now()); !asks() {
			t.Error("confirmed, it is not read")
		}
		time.Sleep(2 * paused)
		st.src.atlas.learn(world(map[string]int{"logs": 4}), time.Now())
		if st.collect(room); !asks() {
			t.Error("although brokers were asked just now it is not read")
		}
	})
}

// What is stored for a lease that goes on with another strand is in order: between
// the look at whose marks may be stored and the last of them nothing is rewound.
func TestMarksAreLookedAtInOrder(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	st := b.strand
	st.src.commitFor(st)
	got := make(chan []error)
	st.mu.Lock() // which the look at the strand needs
	go func() { got <- st.src.store(context.Background(), []mark{{cursor: st.cursor, offset: 12}}) }()
	for end := time.Now().Add(time.Minute); len(st.src.storing) == 0; runtime.Gosched() { // a lease may be rewound
		if time.Now().After(end) {
			t.Fatal("marks are looked at while leases are rewound")
		}
	}
	st.suspect = "test"
	st.mu.Unlock()
	if errs := <-got; !errors.Is(errs[0], errHeldBack) {
		t.Errorf("a mark of a strand in doubt gave %v", errs)
	}
}
