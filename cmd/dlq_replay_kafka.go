package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// kafkaBack are the topics that a source reads.
type kafkaBack struct {
	client *wire.Client
	group  string
	topics []string
	sinks  map[string]*kafka.Sink
}

func (k *kafkaQueue) wayBack(ctx context.Context, _ *zap.Logger) (wayBack, error) {
	client, err := kafka.Connect(k.client)
	if err != nil {
		return nil, err
	}
	topics, err := kafka.SourceTopics(ctx, client, k.client)
	if err != nil {
		client.Close()
		return nil, advised(err)
	}
	return &kafkaBack{client: client, group: k.client.Group, topics: topics, sinks: map[string]*kafka.Sink{}}, nil
}

func (k *kafkaBack) close() { k.client.Close() }

// place implements wayBack. The message keeps its key, and so its partition.
func (k *kafkaBack) place(ctx context.Context, l *queue.Letter, f *queue.Facts, m *queue.Message) (fitting, error) {
	topic, err := k.topicOf(l, f)
	if err != nil {
		return nil, err
	}
	m.Subject = topic
	if sink := k.sinks[topic]; sink != nil {
		return sink, nil
	}
	sink, err := kafka.NewPublisher(ctx, k.client, topic)
	if err != nil {
		return nil, advised(err)
	}
	k.sinks[topic] = sink
	return sink, nil
}

// topicOf is the topic that a letter was read from, or beside whose companion it lies.
func (k *kafkaBack) topicOf(l *queue.Letter, f *queue.Facts) (string, error) {
	beside, _, _ := strings.Cut(l.Places[0].Part, "."+k.group+".dlq-")
	for _, topic := range []string{f.Subject, beside} {
		if slices.Contains(k.topics, topic) {
			return topic, nil
		}
	}
	if len(k.topics) == 1 {
		return k.topics[0], nil
	}
	return "", fmt.Errorf("it was read from %q, which the configuration does not read any more: it reads %s; use --direct", f.Subject, strings.Join(k.topics, ", "))
}
