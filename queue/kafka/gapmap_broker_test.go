package kafka

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// The largest map comes back from a real broker as it was; one that is longer than
// the broker's default allows is refused with the error that the cursor knows.
func TestABrokerKeepsAGapMap(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	b.CreateTopic(t, "gap-map", 1, 1, nil)
	client, err := wire.NewClient(wire.Config{Brokers: b.Bootstrap(), ClientID: "gap-map"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	at := wire.TopicPartition{Topic: "gap-map"}
	var ended []queue.Interval
	for from := int64(42); from < 60_000; from += 3 {
		ended = append(ended, queue.Interval{From: from, To: from + 2})
	}
	text := encodeGaps("c/gap-map[0]", 41, ended, metadataLimit)
	if len(text) < metadataLimit-4 {
		t.Fatalf("a map of %d characters is not the largest", len(text))
	}
	commit := func(metadata string) error {
		return atCoordinator(ctx, client, "gap-map", func(ctx context.Context, addr string) error {
			failed, err := client.Commit(ctx, addr, wire.Membership{Group: "gap-map", Generation: -1},
				[]wire.CommitPartition{{TopicPartition: at, Offset: 41, Metadata: metadata}})
			return errors.Join(err, failed[at])
		})
	}
	if err := commit(text); err != nil {
		t.Fatal(err)
	}
	if err := commit(strings.Repeat("x", 4097)); !tooMuchMetadata(err) || !errors.Is(err, kafka.OffsetMetadataTooLarge) {
		t.Errorf("4,097 characters: %v", err)
	}
	var found map[wire.TopicPartition]wire.Committed
	err = atCoordinator(ctx, client, "gap-map", func(ctx context.Context, addr string) (err error) {
		found, err = client.Committed(ctx, addr, "gap-map", []wire.TopicPartition{at})
		return err
	})
	if err != nil || found[at].Offset != 41 || found[at].Metadata != text {
		t.Fatalf("%v: %+.80v", err, found[at])
	}
	got, ok := decodeGaps("c/gap-map[0]", 41, found[at].Metadata)
	if !ok || !prefixOf(got, ended) || !cmp.Equal(got[0], ended[0]) {
		t.Errorf("read as %d of %d intervals (%v)", len(got), len(ended), ok)
	}
}
