package history_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestARangeIsReadFromAnywhere(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(2, nil)
	for n := 0; n < 1000; n += 100 {
		w.produce(0, n, n+100)
		w.produce(1, n, n+100)
	}
	in := w.input()
	for _, bytes := range []int64{1, 20_000, 1 << 20} {
		all := w.plan("0:123,1:0", "0:950,1:1000")
		w.read(in, all[0], 123, bytes).wholly(t, 0, 123, 950)
		w.read(in, all[0], 949, bytes).wholly(t, 0, 949, 950)
		w.read(in, all[0], 950, bytes).wholly(t, 0, 950, 950)
		w.read(in, all[1], 0, bytes).wholly(t, 1, 0, 1000)
	}
}

// A large compressed batch comes in portions of about what was asked for.
func TestALargeAnswerIsTakenInPortions(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, map[string]string{"max.message.bytes": "16777216"})
	const n, size = 600, 20_000
	var rs []*kgo.Record
	for i := range n {
		rs = append(rs, kafkabroker.Record(w.topic, 0, fmt.Sprintf("%06d%s", i, strings.Repeat("x", size))))
	}
	w.cluster.ProduceWith(t, []kgo.Opt{kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerLinger(1e9), kgo.ProducerBatchMaxBytes(16 << 20)}, rs...)
	s := w.plan("earliest", "end")[0]
	r, err := w.input().Open(w.Context(), &s, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen, reads := 0, 0
	for {
		b, err := r.Read(w.Context(), 300_000)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		held := int64(0)
		for i := range b.Messages {
			if want := fmt.Sprintf("%06d", seen); string(b.Messages[i].Value[:6]) != want {
				t.Fatalf("message %d begins with %s", seen, b.Messages[i].Value[:6])
			}
			seen++
			held += b.Messages[i].Held()
		}
		if held > 1<<20+size+2048 {
			t.Errorf("a read of 300,000 bytes brought %d", held)
		}
		reads++
	}
	if seen != n || reads < 10 {
		t.Errorf("%d messages in %d reads, want %d", seen, reads, n)
	}
}

func TestTransactionsUnderBothIsolations(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, nil)
	record := func(v string) *kgo.Record { return kafkabroker.Record(w.topic, 0, v) }
	id := "txn-" + w.topic
	w.cluster.Transact(t, id, true, record("a"), record("b"))               // 0, 1, marker 2
	w.cluster.Transact(t, id, false, record("x"), record("y"), record("z")) // 3, 4, 5, marker 6
	w.cluster.Transact(t, id, true, record("c"))                            // 7, marker 8
	w.cluster.Transact(t, id, false, record("w"))                           // 9, and the log ends in a marker: 10

	for _, c := range []struct {
		isolation string
		from, to  int64
		values    string
		passed    map[string]int64
	}{
		{kafka.ReadCommitted, 0, 11, "abc", map[string]int64{job.PassedAborted: 4, job.PassedControl: 4}},
		{kafka.ReadUncommitted, 0, 11, "abxyzcw", map[string]int64{job.PassedControl: 4}},
		{kafka.ReadCommitted, 4, 9, "c", map[string]int64{job.PassedAborted: 2, job.PassedControl: 2}},
		{kafka.ReadCommitted, 0, 5, "ab", map[string]int64{job.PassedAborted: 2, job.PassedControl: 1}},
		{kafka.ReadCommitted, 2, 3, "", map[string]int64{job.PassedControl: 1}},
		{kafka.ReadUncommitted, 1, 5, "bxy", map[string]int64{job.PassedControl: 1}},
	} {
		w.cfg.Isolation = c.isolation
		s := w.plan(fmt.Sprint("0:", c.from), fmt.Sprint("0:", c.to))[0]
		for _, bytes := range []int64{1, 1 << 20} {
			g := w.read(w.input(), s, c.from, bytes)
			if strings.Join(g.values, "") != c.values || g.err != nil {
				t.Errorf("%s from %d to %d: %q and %v, want %q", c.isolation, c.from, c.to, g.values, g.err, c.values)
			}
			if diff := cmp.Diff(c.passed, g.passed); diff != "" {
				t.Errorf("%s from %d to %d passed (-want +got):\n%s", c.isolation, c.from, c.to, diff)
			}
		}
	}
}

// The end is the last stable offset only where uncommitted messages are not read.
func TestAnOpenTransactionBoundsTheRange(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, nil)
	w.produce(0, 0, 10)
	cl := w.cluster.Client(t, kgo.TransactionalID("open-"+w.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(w.Context(), w.record(0, 10)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if s := w.plan("earliest", "end")[0]; s.To != 10 {
		t.Errorf("committed messages end at %d, want 10", s.To)
	}
	w.cfg.Isolation = kafka.ReadUncommitted
	s := w.plan("earliest", "end")[0]
	if s.To != 11 {
		t.Errorf("all messages end at %d, want 11", s.To)
	}
	w.read(w.input(), s, 0, 1<<20).wholly(t, 0, 0, 11)
	if err := cl.EndTransaction(w.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}

func TestHolesOfCompaction(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, map[string]string{
		"cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0",
	})
	keyed := func(key string, n int) *kgo.Record {
		r := kafkabroker.Record(w.topic, 0, fmt.Sprint(n))
		r.Key = []byte(key)
		return r
	}
	for n := range 30 { // batches of one record
		w.cluster.Produce(t, keyed(fmt.Sprint(n%3), n))
	}
	s := w.plan("earliest", "end")[0]
	n := 30
	var g *got
	eventually(t, "compaction leaves the last three of them", func() bool {
		w.cluster.Produce(t, keyed("other", n)) // rolls the segment; the active one is left alone
		n++
		g = w.read(w.input(), s, 0, 1<<20)
		return len(g.values) == 3
	})
	if diff := cmp.Diff([]string{"27", "28", "29"}, g.values); diff != "" || g.passed[job.PassedCompacted] != 27 {
		t.Errorf("passed %v and read (-want +got):\n%s", g.passed, diff)
	}
	// A range that ends within a hole.
	s.To = 20
	if g = w.read(w.input(), s, 0, 1<<20); len(g.values) != 0 || g.passed[job.PassedCompacted] != 20 || g.err != nil {
		t.Errorf("a range that is a hole brought %v, passed %v, ended with %v", g.values, g.passed, g.err)
	}
}

func TestRetentionOvertakesUs(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, nil)
	w.pad(0, 0, 1000)
	s := w.plan("earliest", "end")[0]
	r, err := w.input().Open(w.Context(), &s, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g := &got{passed: map[string]int64{}}
	if !g.step(w, w.Context(), r, &s, 1) || g.next == 1000 {
		t.Fatalf("the first read ended at %d", g.next)
	}
	read := g.next
	w.cluster.DeleteRecords(t, w.topic, 0, 905)
	for g.step(w, w.Context(), r, &s, 1) {
	}
	if g.err != nil || g.passed[job.PassedExpired] < 1 || int64(len(g.values))+g.passed[job.PassedExpired] != 1000 {
		t.Errorf("after %d: %d messages, %v passed, %v", read, len(g.values), g.passed, g.err)
	}
	if last := g.values[len(g.values)-95:]; last[0] != "0/00905" {
		t.Errorf("it went on with %s, want 0/00905", last[0])
	}

	w.cluster.DeleteRecords(t, w.topic, 0, 1000) // past the end of the range
	g = w.read(w.input(), s, 950, 1<<20)
	if diff := cmp.Diff(map[string]int64{job.PassedExpired: 50}, g.passed); diff != "" || g.err != nil {
		t.Errorf("a range that is gone ended with %v and passed (-want +got):\n%s", g.err, diff)
	}
}

func TestATopicMadeAnewIsNotRead(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, nil)
	w.pad(0, 0, 300)
	s := w.plan("earliest", "end")[0]
	r, err := w.input().Open(w.Context(), &s, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g := &got{passed: map[string]int64{}}
	g.step(w, w.Context(), r, &s, 1)
	w.cluster.DeleteTopic(t, w.topic)
	eventually(t, "the reader notices that the topic is away", func() bool { return !g.step(w, w.Context(), r, &s, 1) || len(g.trouble) > 0 })
	before := len(g.values)
	w.create(1, nil)
	w.produce(0, 5000, 5400) // all positions exist again
	for g.err == nil && g.step(w, w.Context(), r, &s, 1) {
	}
	var changed *job.ChangedError
	if !errors.As(g.err, &changed) || changed.Slice != s.Name || len(g.values) != before {
		t.Fatalf("after %d messages it ended with %v, having read %d", before, g.err, len(g.values))
	}
	if g = w.read(w.input(), s, 0, 1<<20); !errors.As(g.err, &changed) || !strings.Contains(changed.Why, "made anew") {
		t.Errorf("opened anew it ended with %v", g.err)
	}
	w.cluster.DeleteTopic(t, w.topic)
	if g = w.read(w.input(), s, 0, 1<<20); !errors.As(g.err, &changed) || !strings.Contains(changed.Why, "is gone") {
		t.Errorf("a topic that is gone ended with %v", g.err)
	}
}

// A message keeps the id that it has in the live source, or that it brought.
func TestOriginsAreThoseOfTheLiveSource(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, nil)
	brought := queue.NewOriginSeed("elsewhere", "topic").At(0, 7, second(7))
	moved := w.record(0, 2)
	moved.Headers = []kgo.RecordHeader{{Key: queue.HeaderOrigin, Value: []byte(brought.String())}, {Key: "a", Value: []byte("b")}}
	w.cluster.Produce(t, w.record(0, 0), w.record(0, 1), moved, w.record(0, 3))

	slice := w.plan("earliest", "end")[0]
	var id [16]byte
	if _, err := hex.Decode(id[:], []byte(slice.Stamp)); err != nil || id == [16]byte{} {
		t.Fatalf("the topic has the id %q: %v", slice.Stamp, err)
	}
	seed := wire.Seed(w.cluster.ID(), w.topic, id)
	want := []queue.Origin{seed.At(0, 0, second(0)), seed.At(0, 1, second(1)), brought, seed.At(0, 3, second(3))}
	if g := w.read(w.input(), slice, 0, 1<<20); !slices.Equal(g.origins, want) {
		t.Errorf("origins are %v, want %v", g.origins, want)
	}
}

// Many readers are opened with one question to the brokers.
func TestManyReadersOfOneTopic(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(200, nil)
	w.cluster.Fill(t, w.topic, 200, 3)
	in := w.input()
	for _, s := range w.plan("earliest", "end") {
		if g := w.read(in, s, 0, 1<<20); g.err != nil || len(g.values) != 3 {
			t.Fatalf("%s brought %v and %v", s.Name, g.values, g.err)
		}
	}
}

func TestReadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, nil)
	w.produce(0, 0, 5)
	s := w.plan("earliest", "end")[0]
	s.To = 50 // a range that the broker does not have yet
	r, err := w.input().Open(w.Context(), &s, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(w.Context())
	if b, err := r.Read(ctx, 1<<20); err != nil || b.Next != 5 {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, err := r.Read(ctx, 1<<20); err == nil || !strings.Contains(err.Error(), "the log ends at 5, before the end of the range at 50") {
		t.Errorf("what is missing at the end is %v", err)
	}
	cancel()
	if _, err := r.Read(ctx, 1<<20); err == nil {
		t.Error("a read without context returned nothing")
	}
	in := w.input()
	in.SetTail(time.Second)
	if g := w.read(in, s, 0, 1<<20); !job.IsUnreadable(g.err) || !strings.Contains(g.err.Error(), "they are lost") || len(g.values) != 5 {
		t.Errorf("a log that lost its tail ended with %v after %d messages", g.err, len(g.values))
	}
	w.produce(0, 5, 50)
	g := &got{passed: map[string]int64{}, next: 5}
	for g.step(w, w.Context(), r, &s, 1<<20) {
	}
	g.wholly(t, 0, 5, 50)
}
