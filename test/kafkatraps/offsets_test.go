package kafkatraps

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// Commit metadata is counted in UTF-16 units, to 4096, and is text. Hence a gap
// map is base64 of at most 4,000 characters.
func TestCommitMetadataIsShortText(t *testing.T) {
	b, topic := topicOf(t, 1, 0, nil)
	commit := func(metadata string) error {
		resp := must[*kafka.OffsetCommitResponse](t)(client(t, b, nil).OffsetCommit(within(t, 20*time.Second), &kafka.OffsetCommitRequest{
			GroupID: topic, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Offset: 1, Metadata: metadata}}},
		}))
		return resp.Topics[topic][0].Error
	}
	for _, c := range []struct {
		name, metadata string
		refused        bool
	}{
		{"4096 letters", strings.Repeat("x", 4096), false},
		{"4097 letters", strings.Repeat("x", 4097), true},
		{"4096 units in 12 KiB", strings.Repeat("€", 4096), false},
		{"2049 pairs", strings.Repeat("😀", 2049), true},
	} {
		if err := commit(c.metadata); errors.Is(err, kafka.OffsetMetadataTooLarge) != c.refused || err != nil && !c.refused {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := commit("\xff\xfe"); err != nil {
		t.Fatal(err)
	}
	if got := b.Committed(t, topic, topic)[0].Metadata; got != "��" {
		t.Errorf("what is not text comes back as %q", got)
	}
}

// With a topic go the offsets that groups have for it, so a topic made again
// begins without a commit. Hence a missing commit is said, and never silently
// means the latest message.
func TestADeletedTopicTakesItsOffsetsAlong(t *testing.T) {
	b, topic := topicOf(t, 1, 10, nil)
	resp := must[*kafka.OffsetCommitResponse](t)(client(t, b, nil).OffsetCommit(within(t, 20*time.Second), &kafka.OffsetCommitRequest{
		GroupID: topic, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Offset: 7}}},
	}))
	if err := resp.Topics[topic][0].Error; err != nil {
		t.Fatal(err)
	}
	if got := b.Committed(t, topic, topic)[0].Offset; got != 7 {
		t.Fatalf("committed %d", got)
	}
	b.DeleteTopic(t, topic)
	b.CreateTopic(t, topic, 1, 0, nil)
	if got := b.Committed(t, topic, topic); len(got) != 0 {
		t.Errorf("the group has %v for the new topic", got)
	}
}
