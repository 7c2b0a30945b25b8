package nats_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

type request struct {
	Batch    int           `json:"batch"`
	MaxBytes int64         `json:"max_bytes"`
	Expires  time.Duration `json:"expires"`
	Beat     time.Duration `json:"idle_heartbeat"`
}

func decodeRequests(out chan<- request) natsgo.MsgHandler {
	return func(m *natsgo.Msg) {
		var r request
		if json.Unmarshal(m.Data, &r) == nil {
			out <- r
		}
	}
}

// A message larger than a request's max_bytes is answered by 409 and would be
// asked for in vain for ever.
func TestAMessageLargerThanARequestIsAskedForAloneAndOnce(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	seen := q.requests()
	q.publish(1, 900<<10)
	p := q.startPod()
	p.drain(1)
	q.publish(20, 100)
	p.drain(20)
	q.pending(0, 0)

	first, large, next := <-seen, <-seen, <-seen
	if first.Batch < 2 || first.MaxBytes > 256<<10 {
		t.Errorf("first request %+v, want several messages of together 256 KiB", first)
	}
	if large.Batch != 1 || large.MaxBytes < 1<<20 {
		t.Errorf("second request %+v, want one message of the largest size", large)
	}
	if next.Batch < 2 || next.MaxBytes < 900<<10 {
		t.Errorf("third request %+v, want several messages again, with room for such a one", next)
	}
	p.stop()
}

func TestRequestsGrowWithTraffic(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	seen := q.requests()
	q.publish(600, 50<<10)
	p := q.startPod()
	p.drain(600)
	q.pending(0, 0)
	first := <-seen
	most := first.MaxBytes
	for len(seen) > 0 {
		most = max(most, (<-seen).MaxBytes)
	}
	if first.MaxBytes > 256<<10 || most < 1<<20 || most > 4<<20 {
		t.Errorf("requests grew from %d to %d bytes, want 256 KiB to a few MiB", first.MaxBytes, most)
	}
	if u := p.host.Usage(); u.Charged != 0 {
		t.Errorf("%d bytes were charged beyond what was taken", u.Charged)
	}
	p.stop()
}

func TestARedeliveryOfAHeldMessageIsSwallowed(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.publish(3, 100)
	p := q.startPod()
	ds := p.fetch(3)
	q.answer(2, 2, "-NAK") // the server forgets that we hold it
	p.none(300 * time.Millisecond)
	if st := p.strand.Status(); st.Redelivered != 1 || st.Unsettled != 3 {
		t.Errorf("status %+v, want 1 redelivered and 3 unsettled", st)
	}
	ack(ds...)
	q.pending(0, 0)
	p.stop()
}

// The server may deliver again what was acknowledged: it lost the end of its
// memory. Resetting the consumer makes it do so.
func TestARedeliveryOfAnEndedMessageIsAcknowledgedAgain(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.publish(500, 10)
	p := q.startPod()
	ack(p.fetch(500)...)
	q.pending(0, 0)
	m, err := q.conn.NATS().Request("$JS.API.CONSUMER.RESET.LOGS.flushline", []byte(`{"seq":1}`), 5*time.Second)
	if err != nil || strings.Contains(string(m.Data), `"error"`) {
		t.Fatalf("reset: %v, %s", err, m.Data)
	}
	p.none(500 * time.Millisecond)
	q.pending(0, 0)
	if got := p.strand.Status().Redelivered; got != 500 {
		t.Errorf("%d redelivered, want 500", got)
	}
	p.stop()
}

// Pins the trap: the server matches an acknowledgement by sequence alone.
func TestTheServerTakesAnOldAckForANewMessage(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.publish(5, 10)
	p := q.startPod()
	ack(p.fetch(5)...)
	p.stop()
	q.recreateStream()
	q.publish(5, 10)
	p = q.startPod()
	ds := p.fetch(5)
	q.pending(5, 0)
	q.answer(1, 1, "+ACK")
	q.pending(4, 0)
	p.stop(ds...)
}

func TestAnAckOfAnOldIncarnationDoesNotRemoveANewMessage(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.publish(5, 10)
	p := q.startPod()
	old := p.fetch(5)
	before := p.strand.Info()
	q.recreateStream()
	q.publish(5, 10)
	end, err := p.strand.End(p.patience())
	if err != nil || end.Reason != queue.Lost {
		t.Fatalf("strand ended with %v, %v; want lost", end, err)
	}
	other := q.openOther()
	held := other.fetch(5) // the server would take an old ack for one of these
	ack(old...)
	p.strand.Finish(nil)
	p.next()
	if n := q.info().NumAckPending; n != 5 {
		t.Fatalf("%d of the 5 new messages wait for their acknowledgement", n)
	}
	other.stop(held...)
	if after := p.strand.Info(); after.Incarnation == before.Incarnation || after.Name != before.Name {
		t.Errorf("served %+v after %+v, want another incarnation of the same", after, before)
	}
	fresh := p.fetch(5)
	slices.SortFunc(fresh, func(a, b *queue.Delivery) int { return int(a.Message().Position - b.Message().Position) })
	if diff := cmp.Diff([]int64{1, 2, 3, 4, 5}, positions(fresh)); diff != "" {
		t.Errorf("new deliveries (-want +got):\n%s", diff)
	}
	for i := range old {
		if old[i].Origin() == fresh[i].Origin() {
			t.Errorf("message %d has the origin of the old stream's", i+1)
		}
	}
	q.pending(5, 0)
	ack(fresh...)
	q.pending(0, 0)
	p.stop()
}

// A recreation is noticed although nothing is asked and no advisory came: within
// the second between two looks.
func TestARecreationIsNoticedWhilePaused(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.publish(5, 10)
	p := q.startPod()
	old := p.fetch(5)
	q.recreateStream()
	if end, err := p.strand.End(p.patience()); err != nil || end.Reason != queue.Lost {
		t.Fatalf("strand ended with %v, %v; want lost", end, err)
	}
	ack(old...)
	p.strand.Finish(nil)
	p.next()
	p.stop()
}

func TestADeletedConsumerIsMissingUntilItExistsAgain(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.publish(5, 10)
	p := q.startPod()
	held := p.fetch(2)
	config := q.info().Config
	js := q.js(q.conn)
	if err := js.DeleteConsumer(q.patience(), "LOGS", "flushline"); err != nil {
		t.Fatal(err)
	}
	if end, err := p.strand.End(p.patience()); err != nil || end.Reason != queue.Lost {
		t.Fatalf("strand ended with %v, %v; want lost", end, err)
	}
	ack(held...)
	p.strand.Finish(nil)
	p.next()
	if cause := p.state(queue.StateMissing); !strings.Contains(cause, "flushline setup") {
		t.Errorf("cause %q does not name the command", cause)
	}
	absent := p.strand
	if _, err := js.CreateConsumer(q.patience(), "LOGS", config); err != nil {
		t.Fatal(err)
	}
	if _, err := absent.End(p.patience()); err != nil {
		t.Fatal(err)
	}
	absent.Finish(nil)
	p.next()
	ack(p.fetch(5)...) // nothing is acknowledged over a recreation, so the first two come again
	q.pending(0, 0)
	p.stop()
}

// A request for as many messages as the window holds is no full window: the worker
// would say of an idle consumer that its lanes hold it up.
func TestAWindowIsFullOfWhatWasHandedOutAlone(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	q.with.Window = 10
	p := q.startPod()
	p.none(100 * time.Millisecond) // leaves a request behind, for all of it
	if st := p.strand.Status(); st.Full || st.RequestedBytes == 0 {
		t.Errorf("an idle strand is full: %t, with %d bytes asked for", st.Full, st.RequestedBytes)
	}
	q.publish(20, 10)
	var held []*queue.Delivery
	for len(held) < 10 {
		held = append(held, p.fetch(1)...)
	}
	p.none(100 * time.Millisecond)
	if st := p.strand.Status(); !st.Full {
		t.Errorf("with its window handed out it is not full: %+v", st)
	}
	ack(held...)
	for range 10 {
		ack(p.fetch(1)...)
	}
	q.pending(0, 0)
	p.stop()
}

func TestMaxAckPendingFullThroughOthersIsAState(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	js := q.js(q.conn)
	config := q.info().Config
	config.MaxAckPending = 10
	if _, err := js.UpdateConsumer(q.patience(), "LOGS", config); err != nil {
		t.Fatal(err)
	}
	q.cfg.MaxPods = 2
	q.publish(30, 10)
	other, err := js.Consumer(q.patience(), "LOGS", "flushline")
	if err != nil {
		t.Fatal(err)
	}
	batch, err := other.Fetch(10)
	if err != nil {
		t.Fatal(err)
	}
	var foreign []jetstream.Msg
	for m := range batch.Messages() {
		foreign = append(foreign, m)
	}
	q.pending(10, 20)
	p := q.startPod()
	p.none(200 * time.Millisecond)
	p.state(queue.StateAckPendingExhausted)
	for _, m := range foreign[:7] {
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	ds := p.fetch(5) // its share: 10 for 2 pods
	p.none(200 * time.Millisecond)
	p.state(queue.StateConsuming)
	for _, m := range foreign[7:] {
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	ack(ds...)
	for range 15 {
		ack(p.fetch(1)...)
	}
	q.pending(0, 0)
	p.stop()
}

// What a stopping pod never handed out goes to the others at once, not after the
// ack wait.
func TestAStopGivesTheBufferBackAtOnce(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	p := q.startPod()
	p.none(100 * time.Millisecond) // leaves a request behind
	q.publish(50, 10)
	p.eventually(func() error {
		if st := p.strand.Status(); st.Buffered != 50 {
			return errorf("%d buffered, want 50", st.Buffered)
		}
		return nil
	})
	ds := p.fetch(1)
	ack(ds...)
	p.stop()
	p = q.startPod()
	begin := time.Now()
	ack(p.fetch(49)...)
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("the rest came after %v", d)
	}
	q.pending(0, 0)
	p.stop()
}

// A stop after everything was acknowledged leads to no duplicate, whatever was
// buffered or on the way.
func TestTwentyStopsWithoutADuplicate(t *testing.T) {
	t.Parallel()
	q := openQueue(t)
	const n = 2000
	q.publish(n, 1000)
	seen := map[int64]bool{}
	for round := range 20 {
		p := q.startPod()
		for range 1 + round%3 {
			ds, err := p.strand.Fetch(p.patience(), queue.Room{Messages: 40, Bytes: 1 << 30})
			if err != nil {
				t.Fatalf("round %d, %d seen: %v; %+v", round, len(seen), err, p.strand.Status())
			}
			for _, d := range ds {
				if seen[d.Message().Position] {
					t.Errorf("message %d was handed out again", d.Message().Position)
				}
				seen[d.Message().Position] = true
				ack(d)
			}
		}
		p.stop()
	}
	p := q.startPod()
	for len(seen) < n {
		for _, d := range p.fetch(1) {
			if seen[d.Message().Position] {
				t.Errorf("message %d was handed out again", d.Message().Position)
			}
			seen[d.Message().Position] = true
			ack(d)
		}
	}
	q.pending(0, 0)
	p.stop()
}

// passedOver waits until that many messages are counted as never delivered.
func (p *pod) passedOver(reason string, n int64) {
	p.Helper()
	p.eventually(func() error {
		if diff := cmp.Diff(map[string]int64{reason: n}, p.strand.Status().PassedOver); diff != "" {
			return errorf("passed over (-want +got):\n%s", diff)
		}
		return nil
	})
}

func TestWhatExpiredOrWasPurgedIsCounted(t *testing.T) {
	t.Parallel()
	q := openQueue(t, func(c *nats.Config) { c.Subjects = nil })
	q.publish(30, 10)
	p := q.startPod()
	ack(p.fetch(10)...)
	q.publish(100, 10)
	js := q.js(q.conn)
	s, err := js.Stream(q.patience(), "LOGS")
	if err != nil {
		t.Fatal(err)
	}
	p.eventually(func() error { // the strand has to know what was there
		if end := p.strand.Status().End; end != 130 {
			return errorf("end is %d, want 130", end)
		}
		return nil
	})
	if err := s.Purge(q.patience(), jetstream.WithPurgeKeep(40)); err != nil {
		t.Fatal(err)
	}
	p.passedOver("expired", 80) // 11 to 90; it looks like an expiry, because some are left
	if err := s.Purge(q.patience()); err != nil {
		t.Fatal(err)
	}
	q.publish(100, 10)
	p.eventually(func() error {
		if lost := p.strand.Status().PassedOver; lost["expired"]+lost["purged"] != 120 {
			return errorf("%v passed over, want 120 in all", lost)
		}
		return nil
	})
	p.stop()

	limits := s.CachedInfo().Config
	limits.MaxMsgs, limits.Discard = 30, jetstream.DiscardOld
	if _, err := js.UpdateStream(q.patience(), limits); err != nil {
		t.Fatal(err)
	}
	p = q.startPod()
	p.passedOver("expired", 70) // of the last 100
	p.drain(30)
	p.stop()
}

func TestSeveralConsumersInOneSource(t *testing.T) {
	t.Parallel()
	q := openQueue(t, func(c *nats.Config) {
		c.Stream, c.Durable, c.Subjects = "", "", nil
		c.Consumers = []nats.Consumer{
			{Stream: "LOGS", Durable: "flushline", Subjects: []string{"logs.shop.>"}},
			{Stream: "LOGS", Durable: "second", Subjects: []string{"logs.other.>"}},
		}
	})
	p := q.startPod()
	first := p.strand
	p.next()
	names := []string{first.Info().Name, p.strand.Info().Name}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"LOGS/flushline", "LOGS/second"}, names); diff != "" {
		t.Errorf("strands (-want +got):\n%s", diff)
	}
	if first.Info().Name != "LOGS/flushline" {
		first, p.strand = p.strand, first
	}
	q.publish(10, 10)
	ds, err := first.Fetch(p.patience(), everything)
	if err != nil {
		t.Fatal(err)
	}
	p.none(100 * time.Millisecond)
	p.end(stopping())
	release(ds...)
	first.Finish(nil)
	p.stop()
}

func TestOpenNamesTheCommandForWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	_, err := nats.Open(t.Context(), b.config(), nats.Options{})
	if err == nil || !strings.Contains(err.Error(), "flushline setup") {
		t.Errorf("error %v, want one that names the command", err)
	}
	cfg := b.config()
	cfg.AckWait = 1
	if _, err := nats.Open(t.Context(), cfg, nats.Options{}); err == nil || !strings.Contains(err.Error(), "source.nats") {
		t.Errorf("error %v, want one that names the block", err)
	}
}
