package configs

import (
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/option"
)

// rejoinRoom is what a member needs of the group's rebalance timeout after its
// drain: a last commit and the join itself.
const rejoinRoom = 5 * time.Second

// Brokers refuse sessions beyond these unless their group.min.session.timeout.ms
// and group.max.session.timeout.ms were changed (the defaults of Apache Kafka).
const (
	shortestSession = 6 * time.Second
	longestSession  = 30 * time.Minute
)

// maxTopicName is the longest name that Kafka takes.
const maxTopicName = 249

// kafkaSource compares `source.kafka` with the rest of the file.
func (l *loader) kafkaSource(root *option.Node, start option.Pos, c *Config) {
	k := c.Source.Kafka
	if k == nil {
		return
	}
	l.drainBeforeRejoin(root, start, c)
	if k.Session < shortestSession || k.Session > longestSession {
		l.warnf(root.Place(start, "source.kafka.session"), "source.kafka.session", "30s suits most",
			"session %s is one that brokers refuse unless their group.min.session.timeout.ms and group.max.session.timeout.ms allow it (6s to 30m by default)",
			option.FormatDuration(k.Session))
	}
	if !c.DeadLetter.None && c.DeadLetter.File == "" {
		l.kafkaCompanions(root, start, c)
	}
}

// drainBeforeRejoin: a member that still drains when the rebalance timeout is over
// has left the group, and what it held comes twice.
func (l *loader) drainBeforeRejoin(root *option.Node, start option.Pos, c *Config) {
	most := c.Source.Kafka.Rebalance - rejoinRoom
	if c.Drain.Timeout <= most {
		return
	}
	path := "drain.timeout"
	if given(root, path) == (option.Pos{}) {
		path = "source.kafka.rebalance"
	}
	l.errorf(root.Place(start, path), path,
		fmt.Sprintf("drain.timeout at most %s, or source.kafka.rebalance at least %s",
			option.FormatDuration(max(most, 0)), option.FormatDuration(c.Drain.Timeout+rejoinRoom)),
		"drain.timeout %s does not fit into source.kafka.rebalance %s less %s for the way back: a pod that drains that long is put out of its group",
		option.FormatDuration(c.Drain.Timeout), option.FormatDuration(c.Source.Kafka.Rebalance), option.FormatDuration(rejoinRoom))
}

// kafkaCompanions must not be read, and need names that Kafka takes.
func (l *loader) kafkaCompanions(root *option.Node, start option.Pos, c *Config) {
	k := c.Source.Kafka
	for i, topic := range k.Topics {
		letters := topic + "." + k.Group + ".dlq"
		at := fmt.Sprintf("source.kafka.topics[%d]", i)
		if j := slices.Index(k.Topics, letters); j >= 0 {
			l.errorf(root.Place(start, fmt.Sprintf("source.kafka.topics[%d]", j)), "source.kafka.topics", "read dead letters in a deployment of their own",
				"%s is the dead letter topic of %s: what cannot be delivered would come round for ever", letters, topic)
		}
		if n := len(letters + ".done"); n > maxTopicName {
			l.errorf(root.Place(start, at), at, "choose a shorter group, or keep letters in files: dead_letter: {file: DIR}",
				"the dead letter topic of %s, and the one beside it that says which letters are resolved, would have up to %d characters: Kafka allows %d", topic, n, maxTopicName)
		}
	}
}
