package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// doneSuffix makes the name of the topic that says which letters are resolved.
const doneSuffix = ".done"

// LetterTopic is the name of the dead letter topic of a source topic: <topic>.<group>.dlq.
func LetterTopic(topic, group string) string { return topic + "." + group + ".dlq" }

// DoneTopic is the name of the topic that says which letters of LetterTopic are
// resolved: Kafka deletes no single record.
func DoneTopic(topic, group string) string { return LetterTopic(topic, group) + doneSuffix }

// doneCompanion is as safe as the dead letter topic, which is as safe as its source. One
// partition does: a mark has some hundred bytes, and those of all letters are read at once.
func doneCompanion(topic, group string) companion {
	return companion{
		source: LetterTopic(topic, group), name: DoneTopic(topic, group),
		kind: "topic of resolved letters", records: "marks of resolved letters", record: "a mark of a resolved letter",
		operations: "Create,Describe,DescribeConfigs,Read,Write",
		otherwise:  "read letters only (flushline dlq ls, show, export), which needs none of it", partitions: 1, compacted: true,
		by: func(m *queue.Message) []byte { return m.Key },
	}
}

// OpenDone creates or verifies the done topic of a source topic, and makes a sink that
// stores a mark where the hash of its key says. The errors name the right that is
// missing, `flushline setup`, or the command that mends a topic that would lose marks.
func OpenDone(ctx context.Context, client *wire.Client, cfg *Config, topic string) (*Sink, error) {
	return openCompanion(ctx, client, cfg, doneCompanion(topic, cfg.Group))
}

// VerifyDone looks whether the done topic of a source topic keeps its marks. It is false
// if there is none: then no letter was ever resolved.
func VerifyDone(ctx context.Context, client *wire.Client, cfg *Config, topic string) (there bool, err error) {
	c := doneCompanion(topic, cfg.Group)
	cluster, found, err := describe(ctx, client, []string{c.name, c.source})
	if err != nil {
		return false, err
	}
	d, beside := found[c.name], found[c.source]
	if d == nil {
		var missing *queue.MissingError
		if err := absent(cluster, c.name); !errors.As(err, &missing) {
			return false, Allowing(cfg, err, "Describe,Read", c.name)
		}
		return false, nil
	}
	if beside == nil { // letters were deleted with their topic
		beside = d
	}
	step := queue.Step{What: "companion", Name: c.name}
	step.Mend(compare(cfg, c.name, c.rows(d, beside)), false, nil)
	return true, step.Apply(ctx)
}

// Allowing adds to an error about a missing right how the configured user gets those
// operations (separated by commas) on a topic, and to others what to do about them.
func Allowing(cfg *Config, err error, operations, topic string) error {
	if !errors.Is(err, kafkago.TopicAuthorizationFailed) {
		return advised(err)
	}
	return fmt.Errorf("%w: let this user do it (%s), or run as a user who may", err, grant(cfg, operations, "topic", topic))
}

// LetterSources are the source topics of cfg that have, or may have, dead letters: those
// that it names; of a pattern all whose dead letter topic exists, even if they are gone.
func LetterSources(ctx context.Context, client *wire.Client, cfg *Config) ([]string, error) {
	names, err := matching(ctx, client, cfg, func(name string, t wire.Topic, fits func(string) bool) (string, bool) {
		topic, ok := strings.CutSuffix(name, "."+cfg.Group+".dlq")
		return topic, ok && !isCompanion(topic) && fits(topic)
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't ask which dead letter topics there are: %w", advised(err))
	}
	return names, nil
}
