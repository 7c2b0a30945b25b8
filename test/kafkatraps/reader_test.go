package kafkatraps

import (
	"bytes"
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/test/kafkabroker"
)

func groupReader(t *testing.T, b *kafkabroker.Cluster, topic string) *kafka.Reader {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: b.Bootstrap(), GroupID: "group-of-" + topic, Topic: topic, MaxWait: 100 * time.Millisecond,
		HeartbeatInterval: 100 * time.Millisecond, SessionTimeout: 6 * time.Second, RebalanceTimeout: 6 * time.Second,
		JoinGroupBackoff: 100 * time.Millisecond, StartOffset: kafka.FirstOffset,
	})
	t.Cleanup(func() { r.Close() })
	return r
}

func fetch(t *testing.T, r *kafka.Reader, n int) []kafka.Message {
	t.Helper()
	ctx := within(t, 30*time.Second)
	var ms []kafka.Message
	for range n {
		ms = append(ms, must[kafka.Message](t)(r.FetchMessage(ctx)))
	}
	return ms
}

// A reader that lost a partition still commits for it: the request goes out under
// the reader's new generation, and the broker cannot know better. Hence commits
// here are checked against leases.
func TestAReaderMovesTheOffsetOfAPartitionItLost(t *testing.T) {
	b, topic := topicOf(t, 2, 30, nil)
	former := groupReader(t, b, topic)
	held := fetch(t, former, 60) // of both partitions
	next := groupReader(t, b, topic)
	got := fetch(t, next, 20)
	if err := next.CommitMessages(t.Context(), got...); err != nil {
		t.Fatal(err)
	}
	moved := int32(got[0].Partition)
	if offset := b.Committed(t, "group-of-"+topic, topic)[moved].Offset; offset != 20 {
		t.Fatalf("the new owner committed 20, the group has %d", offset)
	}
	i := slices.IndexFunc(held, func(m kafka.Message) bool { return m.Partition == int(moved) })
	err := former.CommitMessages(t.Context(), held[i])
	if offset := b.Committed(t, "group-of-"+topic, topic)[moved].Offset; err != nil || offset != 1 {
		t.Errorf("the former owner's commit: %v, and the group has %d; it went back to 1 without an error", err, offset)
	}
}

// Retention that overtakes a reader is silent. Hence the position is compared
// with the start of the log, and the gap counted.
func TestAReaderSkipsWhatRetentionDeleted(t *testing.T) {
	b, topic := topicOf(t, 1, 50, nil)
	r := groupReader(t, b, topic)
	if err := r.CommitMessages(t.Context(), fetch(t, r, 5)...); err != nil {
		t.Fatal(err)
	}
	r.Close()
	b.DeleteRecords(t, topic, 0, 30)
	m, err := groupReader(t, b, topic).FetchMessage(within(t, 30*time.Second))
	if err != nil || m.Offset != 30 {
		t.Errorf("after offset 5: offset %d, %v; it was 30 and no error", m.Offset, err)
	}
}

// The markers that end transactions and the records of aborted ones come as
// messages, also with ReadCommitted. Hence record sets are read here.
func TestAReaderHandsOutMarkersAndAbortedRecords(t *testing.T) {
	b, topic := topicOf(t, 1, 0, nil)
	b.Transact(t, topic, true, kafkabroker.Record(topic, 0, "committed"))
	b.Transact(t, topic, false, kafkabroker.Record(topic, 0, "aborted"))
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: b.Bootstrap(), Topic: topic, MaxWait: 100 * time.Millisecond, IsolationLevel: kafka.ReadCommitted})
	defer r.Close()
	ms := fetch(t, r, 4)
	if string(ms[0].Value) != "committed" || string(ms[2].Value) != "aborted" {
		t.Errorf("records %q and %q", ms[0].Value, ms[2].Value)
	}
	for i, key := range map[int]string{1: "\x00\x00\x00\x01", 3: "\x00\x00\x00\x00"} {
		if string(ms[i].Key) != key || len(ms[i].Value) != 6 {
			t.Errorf("marker %d: key %x, value %x", i, ms[i].Key, ms[i].Value)
		}
	}
}

// MaxBytes bounds what is sent, not what it decompresses to. Hence decompression
// is streamed and has a limit of its own.
func TestAReaderHasNoCeilingForDecompression(t *testing.T) {
	const size, ceiling = 32 << 20, 1 << 20
	b, topic := topicOf(t, 1, 0, nil)
	bomb := kafkabroker.Record(topic, 0, "")
	bomb.Value = make([]byte, size)
	b.ProduceWith(t, []kgo.Opt{kgo.ProducerBatchMaxBytes(size + 1<<20), kgo.BrokerMaxWriteBytes(size + 2<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression())}, bomb)
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: b.Bootstrap(), Topic: topic, MaxBytes: ceiling, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m := fetch(t, r, 1)[0]
	runtime.ReadMemStats(&after)
	if len(m.Value) != size {
		t.Errorf("a message of %d bytes, with MaxBytes %d", len(m.Value), ceiling)
	}
	t.Logf("one message of %d MiB allocated %d MiB", size>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
}

// The reader's path never compares a batch's checksum; the client's does. Hence
// checksums are compared here.
func TestAReaderHandsOutDamagedRecords(t *testing.T) {
	b, topic := topicOf(t, 1, 0, nil)
	b.Produce(t, kafkabroker.Record(topic, 0, "what was written"))
	damage := func(c net.Conn) net.Conn {
		return &tapped{Conn: c, read: func(p []byte) { copy(p, bytes.ReplaceAll(p, []byte("was written"), []byte("was damaged"))) }}
	}
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: b.Bootstrap(), Topic: topic, MaxWait: 100 * time.Millisecond,
		Dialer: &kafka.Dialer{DialFunc: dial(damage)},
	})
	defer r.Close()
	if m, err := r.FetchMessage(within(t, 20*time.Second)); err != nil || string(m.Value) != "what was damaged" {
		t.Errorf("the reader: %q, %v", m.Value, err)
	}
	resp, err := client(t, b, damage).Fetch(within(t, 20*time.Second), &kafka.FetchRequest{Topic: topic, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
	if err == nil {
		m, ended := resp.Records.ReadRecord()
		t.Errorf("the client took it: %v, %v", m, ended)
	}
}

// An offset beyond the end, as after a topic was recreated, is retried for ever.
// Hence out of range is an answer with three configured reactions.
func TestAReaderBeyondTheEndWaitsForEver(t *testing.T) {
	b, topic := topicOf(t, 1, 3, nil)
	var complaints atomic.Int64
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: b.Bootstrap(), Topic: topic, MaxWait: 50 * time.Millisecond, ReadBackoffMin: 10 * time.Millisecond, ReadBackoffMax: 10 * time.Millisecond,
		ErrorLogger: kafka.LoggerFunc(func(string, ...any) { complaints.Add(1) }),
	})
	defer r.Close()
	if err := r.SetOffset(100); err != nil {
		t.Fatal(err)
	}
	m, err := r.FetchMessage(within(t, 2*time.Second))
	if !errors.Is(err, context.DeadlineExceeded) || complaints.Load() == 0 {
		t.Errorf("offset %d, %v, %d log lines; it was no message, no error, and log lines only", m.Offset, err, complaints.Load())
	}
}

// tapped lets a test see and change what passes.
type tapped struct {
	net.Conn
	read, written func(p []byte)
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.read != nil {
		c.read(p[:n])
	}
	return n, err
}

func (c *tapped) Write(p []byte) (int, error) {
	if c.written != nil {
		c.written(p)
	}
	return c.Conn.Write(p)
}
