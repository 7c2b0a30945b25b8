package history

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// named leaves the partitions that a bound names, if one does.
func (p *planner) named(found []partition) ([]partition, error) {
	from, err := places("from", &p.from, found)
	if err != nil {
		return nil, err
	}
	to, err := places("to", &p.to, found)
	if err != nil {
		return nil, err
	}
	if from == nil && to == nil {
		return found, nil
	}
	var left []partition
	for _, f := range found {
		begins, inFrom := from[f.TopicPartition]
		ends, inTo := to[f.TopicPartition]
		switch {
		case from != nil && to != nil && inFrom != inTo:
			which, other := "from", "to"
			if inTo {
				which, other = other, which
			}
			return nil, fmt.Errorf("%s names %s and %s does not: name it in both, or in neither", which, f, other)
		case inFrom || inTo:
			f.begins, f.ends = begins, ends
			left = append(left, f)
		}
	}
	return left, nil
}

// places are the offsets that a bound names; nil if it names none. All partitions
// are those that there are.
func places(which string, b *job.Bound, all []partition) (map[wire.TopicPartition]int64, error) {
	if b.Places == nil {
		return nil, nil
	}
	topics := topicsOf(all)
	found := map[wire.TopicPartition]int64{}
	for _, place := range b.Partitions() {
		at := wire.TopicPartition{Topic: place.Topic, Partition: place.Partition}
		if at.Topic == "" {
			if len(topics) > 1 {
				return nil, fmt.Errorf("%s %q names no topic for partition %d, and there are %d (%s): write %s[%d]:%d", which, b.Text, at.Partition, len(topics), some(topics), topics[0], at.Partition, b.Places[place])
			}
			at.Topic = topics[0]
		}
		if !slices.ContainsFunc(all, func(f partition) bool { return f.TopicPartition == at }) {
			return nil, fmt.Errorf("%s names %s, which is not there: %s", which, at, whatThereIs(at.Topic, topics, all))
		}
		if _, twice := found[at]; twice {
			return nil, fmt.Errorf("%s names %s twice: write it once", which, at)
		}
		found[at] = b.Places[place]
	}
	return found, nil
}

func topicsOf(all []partition) []string {
	var names []string
	for i := range all {
		names = append(names, all[i].Topic)
	}
	return slices.Compact(names)
}

func whatThereIs(topic string, topics []string, all []partition) string {
	if !slices.Contains(topics, topic) {
		return "the source reads " + some(topics)
	}
	last := int32(0)
	for i := range all {
		if all[i].Topic == topic {
			last = max(last, all[i].Partition)
		}
	}
	return fmt.Sprintf("topic %s has the partitions 0 to %d", topic, last)
}

// some lists a few names.
func some(names []string) string {
	const few = 5
	if len(names) > few {
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return strings.Join(names, ", ")
}

// absent says why a topic cannot be planned.
func absent(name string, t *wire.Topic) error {
	switch {
	case t.Err == nil && len(t.Partitions) > 0:
		return nil
	case t.Err == nil, errors.Is(t.Err, kafkago.UnknownTopicOrPartition):
		return fmt.Errorf("topic %s does not exist, so there is nothing to replay: correct its name in source.kafka.topics: %w", name, &queue.MissingError{What: "topic", Name: name})
	}
	return fmt.Errorf("couldn't ask for topic %s: %w", name, advised(t.Err))
}

// passingError is about what is not well at a broker and may be soon.
type passingError struct{ error }

func (e *passingError) Unwrap() error { return e.error }

// mayPass says that asking again may help.
func mayPass(err error) bool {
	if wire.IsPermanent(err) {
		return false
	}
	var passing *passingError
	var call *wire.Error
	return errors.As(err, &passing) || errors.As(err, &call) || wire.IsLeaderMoved(err)
}
