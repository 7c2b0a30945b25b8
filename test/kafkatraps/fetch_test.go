package kafkatraps

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"

	"github.com/flushline/flushline/test/kafkabroker"
)

// ask fetches one partition from an offset, as the library's client does it.
func ask(t *testing.T, c *kafka.Client, topic string, offset int64) *kafka.FetchResponse {
	t.Helper()
	return must[*kafka.FetchResponse](t)(c.Fetch(within(t, 20*time.Second), &kafka.FetchRequest{
		Topic: topic, Offset: offset, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 300 * time.Millisecond, IsolationLevel: kafka.ReadCommitted,
	}))
}

// offsets drains an answer.
func offsets(t *testing.T, resp *kafka.FetchResponse) []int64 {
	t.Helper()
	var all []int64
	for {
		r, err := resp.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r.Offset)
	}
}

// The client hides markers, and with them the way past one: a log that ends in a
// marker never gives a next offset. Hence the next offset comes from the batch.
func TestALogThatEndsInAMarkerStopsTheClient(t *testing.T) {
	b, topic := topicOf(t, 1, 4, nil)
	b.Transact(t, topic, true, kafkabroker.Record(topic, 0, "the last"))
	c := client(t, b, nil)
	if got := offsets(t, ask(t, c, topic, 0)); len(got) != 5 {
		t.Fatalf("offsets %v", got)
	}
	for range 3 {
		resp := ask(t, c, topic, 5)
		if got := offsets(t, resp); len(got) != 0 || resp.HighWatermark != 6 {
			t.Errorf("at offset 5 of a log that ends at %d: %v; it was nothing", resp.HighWatermark, got)
		}
	}
}

// The client's answer does not say which transactions were aborted; the same
// request made directly does. Hence requests are made directly.
func TestTheClientDropsTheListOfAbortedTransactions(t *testing.T) {
	b, topic := topicOf(t, 1, 0, nil)
	b.Transact(t, topic, false, kafkabroker.Record(topic, 0, "aborted"))
	c := client(t, b, nil)
	if got := offsets(t, ask(t, c, topic, 0)); len(got) != 1 {
		t.Errorf("with ReadCommitted the client gave %v; it was the aborted record", got)
	}
	resp := must[protocol.Message](t)(c.Transport.RoundTrip(within(t, 20*time.Second), c.Addr, &fetchapi.Request{
		ReplicaID: -1, SessionID: -1, SessionEpoch: -1, MaxWaitTime: 300, MinBytes: 1, MaxBytes: 1 << 20, IsolationLevel: 1,
		Topics: []fetchapi.RequestTopic{{Topic: topic, Partitions: []fetchapi.RequestPartition{{CurrentLeaderEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: 1 << 20}}}},
	}))
	if aborted := resp.(*fetchapi.Response).Topics[0].Partitions[0].AbortedTransactions; len(aborted) != 1 || aborted[0].FirstOffset != 0 {
		t.Errorf("aborted transactions %+v", aborted)
	}
}

// An answer holds whole batches, so it begins before the offset asked for. Hence
// what lies before it is passed over.
func TestAnAnswerBeginsBeforeTheOffsetAskedFor(t *testing.T) {
	b, topic := topicOf(t, 1, 10, nil) // one batch
	if got := offsets(t, ask(t, client(t, b, nil), topic, 7)); len(got) != 10 || got[0] != 0 {
		t.Errorf("asked for 7: %v", got)
	}
}

// Out of range says nothing of the log's ends on a real broker. Hence they are
// asked for.
func TestOutOfRangeDoesNotSayWhatIsInRange(t *testing.T) {
	b, topic := topicOf(t, 1, 50, nil)
	b.DeleteRecords(t, topic, 0, 30)
	c := client(t, b, nil)
	for _, offset := range []int64{5, 100} {
		resp := ask(t, c, topic, offset)
		if !errors.Is(resp.Error, kafka.OffsetOutOfRange) || resp.LogStartOffset != -1 || resp.HighWatermark != -1 {
			t.Errorf("at %d: %v, log start %d, end %d; it was out of range, -1 and -1", offset, resp.Error, resp.LogStartOffset, resp.HighWatermark)
		}
	}
	if resp := ask(t, c, topic, 30); resp.Error != nil || resp.LogStartOffset != 30 || resp.HighWatermark != 50 {
		t.Errorf("in range: %v, log start %d, end %d", resp.Error, resp.LogStartOffset, resp.HighWatermark)
	}
}
