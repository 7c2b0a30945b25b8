package kafka

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/record"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// stand is a strand whose broker is the test.
type stand struct {
	*testing.T
	strand *strand
	leader *leader
	used   int64 // of the budget
	doubt  bool  // whether the lease is ours
}

// Serve, Take, Give and Charge implement queue.Host.
func (b *stand) Serve(context.Context, queue.Strand) error { return nil }

func (b *stand) Take(_ context.Context, least, _ int64) (int64, error) {
	b.used += least
	return least, nil
}
func (b *stand) Give(n int64)   { b.used -= n }
func (b *stand) Charge(n int64) { b.used += n }

func newStand(t *testing.T) *stand {
	cfg := DefaultConfig()
	b := &stand{T: t}
	src := &Source{
		cfg: &cfg, log: zap.NewNop(), host: b, atlas: newAtlas([]string{"logs"}, nil, isCompanion),
		kicked: make(chan struct{}, 1), storing: make(chan struct{}, 1), passed: map[wire.TopicPartition]*passed{},
		cursors: map[*cursor]*strand{}, strands: map[wire.TopicPartition]*strand{},
	}
	src.opt.defaults()
	src.commits = newCommitter(cfg.Commit, func(context.Context, []mark) []error { return nil })
	b.leader = &leader{src: src, addr: "k:9092", wake: make(chan struct{}, 1)}
	lease := &group.Lease{TopicPartition: wire.TopicPartition{Topic: "logs", Partition: 3}, Committed: 10}
	st := src.newStrand(lease, wanted{position: 10}, 0, func(string) {})
	st.doubtful = func() bool { return b.doubt }
	st.cursor = newCursor(inheritance{Committed: 10}, 10, cfg.Span, time.Now())
	st.next, st.leader = 10, b.leader
	st.demand = demand{waiting: true, room: queue.Room{Messages: 100, Bytes: 1 << 20}}
	b.strand = st
	return b
}

// answer lets the broker answer one request for the strand.
func (b *stand) answer(p wire.FetchedPartition) {
	b.Helper()
	b.leader.answered = time.Now()
	if _, ok := b.strand.claim(b.leader, b.strand.wish()); !ok {
		b.Fatalf("the strand may not be asked for: %+v", b.strand.trouble)
	}
	p.TopicPartition = b.strand.TopicPartition
	if p.PreferredReplica == 0 {
		p.PreferredReplica = -1
	}
	b.leader.share(b.strand, &p, &balance{host: b})
}

// messages is a record set of values at offset 10 and following.
func messages(values ...string) []byte {
	var rs []protocol.Record
	for _, v := range values {
		rs = append(rs, protocol.Record{Value: protocol.NewBytes([]byte(v)), Time: time.Unix(1700000000, 0)})
	}
	set := protocol.RecordSet{Version: 2, Records: protocol.NewRecordReader(rs...)}
	var b bytes.Buffer
	if _, err := set.WriteTo(&b); err != nil {
		panic(err)
	}
	raw := b.Bytes()[4:] // what stands before is its size
	raw[7] = 10          // the base offset
	return raw
}

// A record set that cannot be read is asked for again, not passed over, and after
// a while said to be the reason.
func TestDamagedSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		good := messages("a", "b", "c")
		bad := bytes.Clone(good)
		bad[len(bad)-1] ^= 1
		for range corruptTries {
			b.answer(wire.FetchedPartition{Records: bad, HighWatermark: 13, LastStable: 13, LogStart: 0})
			time.Sleep(2 * time.Second)
		}
		st := b.strand.Status()
		if st.State != queue.StateStalled || b.strand.next != 10 || st.Lag != 3 {
			t.Errorf("after %d damaged answers: position %d, %+v", corruptTries, b.strand.next, st)
		}
		for _, word := range []string{"logs[3]", "offset 10", "checksum", "move its offset"} {
			if !strings.Contains(st.Cause, word) {
				t.Errorf("the cause does not say %q: %s", word, st.Cause)
			}
		}
		if wait := time.Until(b.strand.trouble.until); wait < corruptAgain/2 {
			t.Errorf("it is asked for again in %v, want about %v", wait, corruptAgain)
		}
		b.answer(wire.FetchedPartition{Records: good, HighWatermark: 13, LastStable: 13, LogStart: 0})
		if ds, _ := b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20}); len(ds) != 3 {
			t.Errorf("%d messages of the whole set, want 3", len(ds))
		}
		if st := b.strand.Status(); st.State != queue.StateConsuming {
			t.Errorf("afterwards: %+v", st)
		}
	})
}

// Where reading can go on is said if it is known.
func TestCauseSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	b.strand.fail(&record.Error{Offset: 10, Past: 13, Err: record.ErrTooLarge}, time.Now())
	if cause := b.strand.trouble.cause; !strings.Contains(cause, "to offset 13 with") {
		t.Error(cause)
	}
	b.strand.fail(kafkago.UnsupportedCompressionType, time.Now())
	if cause := b.strand.trouble.cause; !strings.Contains(cause, "behind it with") {
		t.Error(cause)
	}
}

// The watchdog: lag, a Fetch that waits, and nothing comes.
func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		b.answer(wire.FetchedPartition{HighWatermark: 50, LastStable: 50, LogStart: 0})
		b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20})
		time.Sleep(stallAfter - time.Second)
		if st := b.strand.Status(); st.State != queue.StateConsuming {
			t.Errorf("too early: %+v", st)
		}
		time.Sleep(2 * time.Second)
		if st := b.strand.Status(); st.State != queue.StateStalled || !strings.Contains(st.Cause, "40 messages") || !strings.Contains(st.Cause, "k:9092") {
			t.Errorf("with 40 messages waiting: %+v", st)
		}
		b.leader.noteTaking(time.Now().Add(-time.Minute))
		if st := b.strand.Status(); !strings.Contains(st.Cause, "in_flight") {
			t.Errorf("while the loop waits for bytes: %+v", st)
		}
	})
}

// An answer for a strand that has gone to another broker meanwhile, or has ended,
// changes nothing and costs nothing.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	if _, ok := b.strand.claim(b.leader, b.strand.wish()); !ok {
		t.Fatal("the strand may not be asked for")
	}
	b.strand.asked = nil // as route does
	p := wire.FetchedPartition{TopicPartition: b.strand.TopicPartition, Records: messages("a"), PreferredReplica: -1}
	b.leader.share(b.strand, &p, &balance{host: b})
	if b.strand.next != 10 || len(b.strand.in) != 0 || b.used != 0 {
		t.Errorf("after an answer of the former leader: next %d, %d messages, %d bytes", b.strand.next, len(b.strand.in), b.used)
	}
	o, ok := b.strand.open(b.leader, &p)
	if ok {
		t.Fatalf("opened %+v for an answer nobody waits for", o)
	}
}

// What was received and not handed out is given back when the strand ends.
func TestCloseGivesBack(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	b.answer(wire.FetchedPartition{Records: messages("a", "b", "c"), HighWatermark: 13, LastStable: 13})
	ds, _ := b.strand.collect(queue.Room{Messages: 1, Bytes: 1 << 20})
	if len(ds) != 1 || b.used == 0 {
		t.Fatalf("%d messages, %d bytes used", len(ds), b.used)
	}
	b.strand.close()
	ds[0].Release()
	ds[0].Free()
	if b.used != 0 {
		t.Errorf("%d bytes were not given back", b.used)
	}
	if low := b.strand.cursor.mark.Low(); low != 10 {
		t.Errorf("the watermark is at %d, want 10: nothing has ended", low)
	}
}

// A process that was asleep hands nothing out and asks for nothing until it knows
// that the partition is still its own.
func TestDoubtHoldsEverythingBack(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	b.answer(wire.FetchedPartition{Records: messages("a", "b"), HighWatermark: 20, LastStable: 20})
	b.doubt = true
	if ds, _ := b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20}); len(ds) != 0 {
		t.Errorf("%d messages were handed out in doubt", len(ds))
	}
	if v := b.strand.view(b.leader, time.Now()); v.asks || v.again != doubtAgain {
		t.Errorf("in doubt the loop sees %+v", v)
	}
	b.doubt = false
	if v := b.strand.view(b.leader, time.Now()); v.asks || len(b.strand.wake) != 1 {
		t.Errorf("afterwards the loop sees %+v, and Fetch is not woken", v)
	}
	if ds, _ := b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20}); len(ds) != 2 {
		t.Errorf("%d messages after the doubt, want 2", len(ds))
	}
}

// A batch that unpacks to far more than was asked for is taken in pieces.
func TestMuchMoreThanAsked(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	b.strand.src.cfg.Span = 40
	values := make([]string, 100)
	for i := range values {
		values[i] = strings.Repeat("x", 100)
	}
	set := messages(values...)
	b.answer(wire.FetchedPartition{Records: set, HighWatermark: 110, LastStable: 110})
	if n, next := len(b.strand.in), b.strand.next; n != 40 || next != 50 {
		t.Fatalf("%d messages were unpacked and the next position is %d, want 40 (the span) and 50", n, next)
	}
	ds, _ := b.strand.collect(queue.Room{Messages: 100, Bytes: 1 << 20})
	if v := b.strand.view(b.leader, time.Now()); v.asks {
		t.Error("it is asked for although the span is used up")
	}
	for _, d := range ds {
		d.Ack()
		d.Free()
	}
	b.strand.demand = demand{waiting: true, room: queue.Room{Messages: 100, Bytes: 1 << 20}}
	b.answer(wire.FetchedPartition{Records: set, HighWatermark: 110, LastStable: 110})
	if n, next := len(b.strand.in), b.strand.next; n != 40 || next != 90 {
		t.Errorf("then %d messages and next position %d, want 40 and 90", n, next)
	}
}

// A Fetch with a full buffer goes on after a doubt although no loop looks at it.
func TestFetchAfterDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newStand(t)
		b.answer(wire.FetchedPartition{Records: messages("a", "b"), HighWatermark: 20, LastStable: 20})
		<-b.strand.wake
		var doubt atomic.Bool
		doubt.Store(true)
		b.strand.doubtful = doubt.Load
		time.AfterFunc(time.Second, func() { doubt.Store(false) })
		began := time.Now()
		ds, err := b.strand.Fetch(t.Context(), queue.Room{Messages: 9, Bytes: 1 << 20})
		if took := time.Since(began); len(ds) != 2 || err != nil || took < time.Second || took > time.Second+doubtAgain {
			t.Errorf("%d messages, %v after %v", len(ds), err, took)
		}
	})
}

// That a position is not in the log counts only while nobody else was asked for it.
func TestRefusalThatIsLate(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	if _, ok := b.strand.claim(b.leader, b.strand.wish()); !ok {
		t.Fatal("the strand may not be asked for")
	}
	b.strand.stray(10)
	if b.strand.next != 10 {
		t.Fatal("a strand has strayed that another request names")
	}
	b.strand.asked = nil
	b.strand.stray(9)
	if b.strand.next != 10 {
		t.Fatal("a strand has strayed from a position that it is past")
	}
	b.strand.stray(10)
	if b.strand.next != -1 || !b.strand.want.refused || b.strand.want.position != 10 {
		t.Fatalf("next %d, want %+v", b.strand.next, b.strand.want)
	}
	b.strand.asked = b.leader
	if _, ok := b.strand.open(b.leader, &wire.FetchedPartition{}); ok {
		t.Fatal("an answer is opened for a strand that has no position")
	}
}

// Nobody has to ask for the status for the samples of ended messages to go.
func TestSamplesAreForgotten(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	set := messages("a")
	for pos := int64(10); pos < 10+4*mostSamples; pos++ {
		set[7], set[6] = byte(pos), byte(pos>>8)
		b.answer(wire.FetchedPartition{Records: set, HighWatermark: pos + 1, LastStable: pos + 1})
		ds, _ := b.strand.collect(queue.Room{Messages: 9, Bytes: 1 << 20})
		for _, d := range ds {
			d.Ack()
			d.Free()
		}
		b.strand.demand = demand{waiting: true, room: queue.Room{Messages: 100, Bytes: 1 << 20}}
	}
	if pos, n := b.strand.position.Load(), len(b.strand.samples); pos != 10+4*mostSamples-1 || n > mostSamples+1 {
		t.Errorf("at %d there are %d samples", pos, n)
	}
}

// A batch that was not whole is asked for as large as it is, whatever was taken.
func TestBatchLargerThanTheRequest(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	b.strand.scale.least = 8 << 20
	b.leader.asking = []*strand{b.strand}
	q := b.leader.compose(poll{}, leastAsk)
	if q.MaxBytes < 8<<20 || q.Partitions[0].MaxBytes < 8<<20 {
		t.Errorf("asked for %d bytes, %d of the partition; its first batch has %d", q.MaxBytes, q.Partitions[0].MaxBytes, 8<<20)
	}
}

// A paused strand holds no more than its window, however many messages a set of the
// broker's has.
func TestNoMoreThanTheWindow(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	b.strand.src.opt.Window = 30
	set := messages(strings.Split(strings.Repeat("x ", 99)+"x", " ")...)
	answer := wire.FetchedPartition{Records: set, HighWatermark: 110, LastStable: 110}
	b.answer(answer)
	ds, _ := b.strand.collect(queue.Room{Messages: 20, Bytes: 1 << 20})
	if n := len(b.strand.in); len(ds) != 20 || n != 10 || b.strand.next != 40 {
		t.Fatalf("%d messages were handed out and %d are buffered, the next position is %d; want 20, 10 (the window) and 40",
			len(ds), n, b.strand.next)
	}
	for _, d := range ds {
		d.Ack()
		d.Free()
	}
	b.strand.demand = demand{waiting: true, room: queue.Room{Messages: 100, Bytes: 1 << 20}}
	b.answer(answer)
	if n := len(b.strand.in); n != 30 || b.strand.next != 60 {
		t.Errorf("then %d are buffered up to %d, want 30 and 60", n, b.strand.next)
	}
}
