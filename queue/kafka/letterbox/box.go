package letterbox

import (
	"context"
	"fmt"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// largest bounds a record of a dead letter topic, decompressed.
const largest = 256 << 20

// box is the dead letters of one source topic.
type box struct {
	client  *wire.Client
	cfg     *kafka.Config
	source  string // topic
	letters string // topic
	done    string // topic
	input   *history.Input
	marks   *history.Input

	stamp    *string       // id of the dead letter topic as it was last read; nil: not yet
	sink     *kafka.Sink   // of the done topic; nil: not opened yet
	patience time.Duration // how long what may pass is tried without any progress
	now      func() time.Time
}

// Open is the box of one source topic of cfg: the letters of <topic>.<group>.dlq. It asks
// the brokers nothing yet. Errors are about files and settings.
//
// Reading needs the rights Describe and Read for that topic and the .done beside it;
// Resolve writes the latter, and creates it if it is missing; Free needs Delete for the
// letters, too.
func Open(cfg *kafka.Config, topic string) (queue.LetterBox, error) { return open(cfg, topic) }

func open(cfg *kafka.Config, topic string) (*box, error) {
	client, err := kafka.Connect(cfg)
	if err != nil {
		return nil, err
	}
	ours := *cfg
	ours.Rack = "" // the leader has the newest
	options := history.Options{MaxDecompressed: largest}
	b := &box{
		client: client, cfg: &ours, source: topic,
		letters: kafka.LetterTopic(topic, cfg.Group), done: kafka.DoneTopic(topic, cfg.Group),
		input: history.New(client, &ours, options), patience: 30 * time.Second, now: time.Now,
	}
	all := ours
	all.Isolation = kafka.ReadUncommitted // nothing of ours is written in transactions
	b.marks = history.New(client, &all, options)
	return b, nil
}

// OpenAll is a box for each source topic of cfg; with topics_regex for each that has a
// dead letter topic, also if it is gone itself. A pattern for which there is none is a
// *queue.MissingError.
func OpenAll(ctx context.Context, cfg *kafka.Config) ([]queue.LetterBox, error) {
	client, err := kafka.Connect(cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	topics, err := kafka.LetterSources(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	if len(topics) == 0 {
		return nil, fmt.Errorf("couldn't find dead letters of group %s: %w", cfg.Group,
			&queue.MissingError{What: "topic", Name: kafka.LetterTopic(cfg.TopicsRegex, cfg.Group)})
	}
	var boxes []queue.LetterBox
	for _, topic := range topics {
		b, err := open(cfg, topic)
		if err != nil {
			for _, b := range boxes {
				_ = b.Close()
			}
			return nil, err
		}
		boxes = append(boxes, b)
	}
	return boxes, nil
}

// Describe implements queue.LetterBox.
func (b *box) Describe() string { return "kafka topic " + b.letters }

// Close implements queue.LetterBox.
func (b *box) Close() error {
	b.client.Close()
	return nil
}

// Letters implements queue.LetterBox. A partition that cannot be read does not hide the
// others: what is wrong is returned when those were read.
func (b *box) Letters(ctx context.Context, visit func(*queue.Letter) error) error {
	ends, done, err := b.survey(ctx)
	if err != nil {
		return err
	}
	return b.scan(ctx, ends, func(s *span, l *queue.Letter) error {
		if done.resolved(s, l) {
			return nil
		}
		return visit(l)
	})
}
