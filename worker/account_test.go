package worker_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// accounts keeps what a source is told, by position.
type accounts struct {
	mu      sync.Mutex
	of      map[int64][]queue.PartEnd
	settled int // told after the message was settled
	twice   int
}

func (a *accounts) hear(d *queue.Delivery, ends []queue.PartEnd) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d.Settled() {
		a.settled++
	}
	if a.of == nil {
		a.of = map[int64][]queue.PartEnd{}
	}
	pos := d.Message().Position
	if _, again := a.of[pos]; again {
		a.twice++
	}
	a.of[pos] = slices.Clone(ends)
}

// Every way in which a part can end is told, right before the message's Ack.
func TestASourceThatKeepsAccountsHearsHowEachPartEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, bad, large := checker.New(), checker.New(), checker.New()
		bad.FailNext(1, flushers.Permanent(errDown))
		large.FailNext(1, flushers.TooLarge(errDown))
		told := &accounts{}
		r := start(t, memory.Config{Account: told.hear}, worker.Config{Only: worker.Selection{Match: worker.Match{Logstore: "?*"}}, Routes: []worker.Route{
			routeOf("two", worker.Match{Logstore: "two"}, entryOf("a", a), entryOf("bad", bad)),
			routeOf("one", worker.Match{Logstore: "one"}, entryOf("large", large)),
		}})
		g := encode(t, group("x"))
		to := func(name string) queue.Header { return queue.Header{Key: queue.HeaderTo, Value: name} }
		flushed := func(route, flusher string) queue.PartEnd {
			return queue.PartEnd{Route: route, Flusher: flusher, Outcome: queue.Flushed}
		}
		dead := func(route, flusher, reason string) queue.PartEnd {
			return queue.PartEnd{Route: route, Flusher: flusher, Outcome: queue.DeadLettered, Reason: reason}
		}
		skipped := func(reason string) queue.PartEnd { return queue.PartEnd{Outcome: queue.Skipped, Reason: reason} }
		want := map[int64][]queue.PartEnd{}
		put := func(m queue.Message, ends ...queue.PartEnd) {
			r.q.Publish(m)
			want[int64(len(want)+1)] = ends
			r.acked(int64(len(want)))
		}
		put(keyed("p", "two", g), flushed("two", "a"), dead("two", "bad", worker.ReasonPermanent))
		put(keyed("p", "two", g), flushed("two", "a"), flushed("two", "bad"))
		put(keyed("p", "one", g), dead("one", "large", worker.ReasonTooLarge))
		put(keyed("p", "none", g), dead("", "", worker.ReasonNoRoute))
		put(keyed("p", "two", []byte("no group")), dead("", "", worker.ReasonUndecodable))
		put(keyed("p", "two", g, queue.Header{Key: queue.HeaderDamage, Value: "cut off"}), dead("", "", worker.ReasonUndecodable))
		put(keyed("p", "two", nil), skipped(worker.SkippedEmpty))
		put(keyed("p", "two", g, to("other/two/a")), skipped(worker.SkippedNotOurs))
		put(keyed("p", "two", g, to("test/two/c")), dead("", "", worker.ReasonUnknownTarget))
		put(keyed("p", "two", g, to("test/two/a")), flushed("two", "a"))
		put(keyed("p", "", g), skipped(worker.SkippedNotSelected))
		r.mustStop()
		r.drained()
		if diff := cmp.Diff(want, told.of); diff != "" {
			t.Errorf("how parts ended (-want +got):\n%s", diff)
		}
		if told.settled > 0 || told.twice > 0 {
			t.Errorf("%d messages were told after they were settled, %d twice", told.settled, told.twice)
		}
		letters := r.letters.Messages()
		if why, _ := letters[4].Header(queue.HeaderError); why != "cut off" {
			t.Errorf("the letter of a damaged value says %q", why)
		}
	})
}

// What only its own lane could show to be bad is told as well.
func TestWhatIsFoundOutToBeBadIsToldAsItEnded(t *testing.T) {
	for reason, breaks := range map[string]func(*checker.Script) (undo func()){
		worker.ReasonPoison: func(s *checker.Script) func() { return s.Fail(errDown, has("bad")) },
		worker.ReasonHangs:  func(s *checker.Script) func() { return s.Hang(has("bad")) },
	} {
		t.Run(reason, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, told := checker.New(), &accounts{}
				undo := breaks(s)
				r := start(t, memory.Config{Account: told.hear}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.q.Publish(keyed("p", "ls0", encode(t, group("bad"))))
				r.trickle("ls0", 5*time.Minute)
				r.acked(1 + 3000)
				undo()
				r.mustStop()
				want := queue.PartEnd{Route: "all", Flusher: "out", Outcome: queue.DeadLettered, Reason: reason}
				if diff := cmp.Diff([]queue.PartEnd{want}, told.of[1]); diff != "" {
					t.Errorf("how it ended (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A message without a key matches no selection of keys; without a selection it is a
// dead letter.
func TestAMessageWithoutAKeyIsToldAsItEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		told := &accounts{}
		r := start(t, memory.Config{Account: told.hear}, worker.Config{Routes: []worker.Route{
			routeOf("all", worker.Match{}, entryOf("a", checker.New())),
		}})
		r.q.Publish(queue.Message{Value: encode(t, group("x"))})
		r.acked(1)
		r.mustStop()
		want := map[int64][]queue.PartEnd{1: {{Outcome: queue.DeadLettered, Reason: worker.ReasonNoKey}}}
		if diff := cmp.Diff(want, told.of); diff != "" {
			t.Errorf("how parts ended (-want +got):\n%s", diff)
		}
	})
}

// What goes back to its queue has no account.
func TestWhatIsReleasedIsNotAccountedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, hanging := checker.New(), checker.New()
		release := hanging.Hang()
		told := &accounts{}
		r := start(t, memory.Config{Account: told.hear}, worker.Config{Routes: []worker.Route{
			routeOf("all", worker.Match{}, entryOf("a", a), entryOf("hanging", hanging)),
		}})
		r.publish(10, 1)
		r.settle()
		_ = r.stop()
		release()
		if len(told.of) > 0 {
			t.Errorf("%d messages were accounted for, all went back", len(told.of))
		}
	})
}
