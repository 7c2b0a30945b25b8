package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/letterbox"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// kafkaQueue is a source of Kafka topics.
type kafkaQueue struct {
	cfg    *configs.Config // nil: the flags of `publish` name it
	client *kafka.Config
}

var _ broker = (*kafkaQueue)(nil)

func (k *kafkaQueue) describe() (place, read string) {
	topics := strings.Join(k.client.Topics, ", ")
	if k.client.TopicsRegex != "" {
		topics = "topics " + k.client.TopicsRegex
	}
	return "kafka " + strings.Join(k.client.Brokers, ","), topics + " as " + k.client.Group
}

func (k *kafkaQueue) companions(entry queue.Lane) (letters, parked string) {
	topics := k.client.Topics
	if k.client.TopicsRegex != "" {
		topics = []string{"<topic>"}
	}
	var l, p []string
	for _, topic := range topics {
		letter, record := kafka.CompanionNames(topic, k.client.Group, entry)
		l, p = append(l, letter), append(p, record)
	}
	return "topic " + strings.Join(l, ", "), "topic " + strings.Join(p, ", ")
}

// open verifies before anything is joined: what loses data or stalls is an error
// of the start.
func (k *kafkaQueue) open(ctx context.Context, q *queues, log *zap.Logger) error {
	source, err := kafka.Open(ctx, k.client, kafka.Options{
		Window: k.cfg.Limits.Window, MaxMessage: int64(k.cfg.Limits.Message), MaxDecompressed: int64(k.cfg.Limits.Decompressed),
		Drain: k.cfg.Drain.Timeout, Name: "kafka", Log: log,
	})
	if err != nil {
		return err
	}
	q.source = source
	q.closing(source.Close)
	report, err := kafka.Verify(ctx, source.Client(), k.client, int64(k.cfg.Limits.Message))
	if err != nil {
		return err
	}
	for _, f := range report.Warnings() {
		log.Warn(named(f.String(), k.cfg.File))
	}
	if err := report.Err(); err != nil {
		return err
	}
	if err := k.park(ctx, q, source.Client(), log); err != nil {
		return err
	}
	beside := &companied{Source: source, log: log, companions: map[string]opener{"parked records": parkedOpener{q.parked}}}
	q.source = beside
	if !lettersBeside(k.cfg) {
		return nil
	}
	letters, err := kafka.DeadLetters(ctx, source.Client(), k.client)
	if err != nil {
		return err
	}
	q.letters = letters
	beside.companions["dead letters"] = letters
	return nil
}

// opener makes sure of what a topic needs beside it.
type opener interface {
	Open(ctx context.Context, topic string) error
}

// companied makes sure of the companions of each topic before its first message, also
// of one that appears while the worker runs.
type companied struct {
	*kafka.Source
	companions map[string]opener // by what they keep
	log        *zap.Logger
}

// Run implements queue.Source.
func (c *companied) Run(ctx context.Context, h queue.Host) error {
	return c.Source.Run(ctx, &companiedHost{h, c})
}

type companiedHost struct {
	queue.Host
	of *companied
}

// Serve implements queue.Host. Without its companions a strand is served as well: what
// belongs there is kept and not acknowledged, which status says.
func (h *companiedHost) Serve(ctx context.Context, s queue.Strand) error {
	topic, _, partition := strings.Cut(s.Info().Name, "[")
	if partition {
		for keeps, companion := range h.of.companions {
			if err := companion.Open(ctx, topic); err != nil && ctx.Err() == nil {
				h.of.log.Warn("the companion topic cannot be used", zap.String("of", keeps), zap.String("strand", s.Info().Name), zap.Error(err))
			}
		}
	}
	return h.Host.Serve(ctx, s)
}

func (k *kafkaQueue) plan(ctx context.Context, o *setupOptions, _ *zap.Logger) (*plan, error) {
	if o.maxBytes > 0 {
		return nil, usage(errors.New("--max-bytes is for NATS: Kafka never refuses producers; bound a topic by --max-age"))
	}
	client, err := kafka.Connect(k.client)
	if err != nil {
		return nil, err
	}
	found, err := kafka.Plan(ctx, client, k.client, kafka.SetupOptions{
		Update: o.update, DeadLetters: lettersBeside(k.cfg), Parked: k.cfg.Parked(), Partitions: o.partitions, Replicas: o.replicas,
		Retention: o.maxAge, Offsets: o.offsets,
	})
	if err != nil {
		client.Close()
		return nil, advised(err)
	}
	p := &plan{steps: found, close: client.Close}
	for i := range found {
		s := &found[i]
		if s.Action == queue.Create && s.What == "topic" && o.maxAge == 0 {
			p.remark = "no --max-age: the brokers choose how long a topic keeps messages (log.retention.hours, a week by default), flushed or not"
		}
	}
	return p, nil
}

// advised adds what to do about an error of a broker.
func advised(err error) error {
	if advice := wire.Advice(err); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

func (k *kafkaQueue) publisher(ctx context.Context, o *publishOptions, _ *zap.Logger) (*publisher, error) {
	topic, err := k.publishTopic(o)
	if err != nil {
		return nil, err
	}
	client, err := kafka.Connect(k.client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	sink, err := kafka.NewPublisher(ctx, client, topic)
	if err != nil {
		client.Close()
		return nil, advised(err)
	}
	return &publisher{
		sink: sink, maxPayload: sink.MaxMessage(), larger: "raise max.message.bytes of topic " + topic, keyed: true,
		subject: func(protocol.Key) string { return topic }, close: client.Close,
	}, nil
}

// publishTopic is the topic of the flag, or the one that the source reads.
func (k *kafkaQueue) publishTopic(o *publishOptions) (string, error) {
	switch topics := k.client.Topics; {
	case o.subject != "":
		return "", usage(errors.New("--subject is for NATS: give --topic"))
	case o.topic != "":
		return o.topic, nil
	case len(topics) == 1:
		return topics[0], nil
	case len(topics) > 1:
		return "", usage(fmt.Errorf("which topic? give --topic with one of %s", strings.Join(topics, ", ")))
	}
	return "", usage(errors.New("which topic? give --topic"))
}

// kafkaByFlags is a cluster that is only published to.
func kafkaByFlags(brokers []string) (*kafkaQueue, error) {
	client := kafka.DefaultConfig()
	client.Brokers, client.ClientID = brokers, "flushline-publish"
	client.Topics, client.Group = []string{"unused"}, "unused"
	if err := client.Validate(); err != nil {
		return nil, usage(fmt.Errorf("--brokers: %w", err))
	}
	client.Topics = nil
	return &kafkaQueue{client: &client}, nil
}

// ask tells about brokers, topics, group, rights and companions.
func (k *kafkaQueue) ask(ctx context.Context, v *visit) {
	client, err := kafka.Connect(k.client)
	if err != nil {
		v.bad("%v", err)
		return
	}
	defer client.Close()
	v.within(ctx, func(ctx context.Context) { err = k.askLag(ctx, v, client) })
	broken := v.failed
	if err == nil || denied(err) {
		v.within(ctx, func(ctx context.Context) { k.askSettings(ctx, v, client) })
	}
	switch {
	case err != nil && v.failed == broken: // else it was said with the command that grants the right
		v.bad("%v", namingFile(advised(err), v.cfg.File))
	case err == nil:
		v.within(ctx, func(ctx context.Context) { k.askCompanions(ctx, v, client) })
	}
}

// denied says that this user may not ask, and perhaps may ask something else.
func denied(err error) bool {
	return errors.Is(err, kafkago.GroupAuthorizationFailed) || errors.Is(err, kafkago.TopicAuthorizationFailed)
}

// askLag says where the group is.
func (k *kafkaQueue) askLag(ctx context.Context, v *visit, client *wire.Client) error {
	lag, err := kafka.GroupLag(ctx, client, k.client)
	if err != nil {
		return err
	}
	v.good("kafka cluster %s answers: %s", lag.Cluster, counted(lag.Brokers, "broker"))
	for i := range lag.Topics {
		t := &lag.Topics[i]
		if t.Err != nil { // Verify says it, with what to do
			continue
		}
		if dead := t.Leaderless(); len(dead) > 0 {
			v.bad("topic %s: nobody leads %s of %s: %v", t.Topic, counted(len(dead), "partition"), number(int64(len(t.Partitions))), dead)
			continue
		}
		v.good("topic %s, %s: %s to deliver", t.Topic, counted(len(t.Partitions), "partition"), number(t.Total()))
	}
	switch lag.State {
	case "Dead", "":
		v.note("group %s is not there yet: the first `run` makes it, or `flushline setup -c %s --offsets`", k.client.Group, v.cfg.File)
	case "PreparingRebalance", "CompletingRebalance":
		v.good("group %s has %s and shares partitions out anew", k.client.Group, counted(lag.Members, "member"))
	default:
		v.good("group %s is %s: %s", k.client.Group, strings.ToLower(lag.State), counted(lag.Members, "member"))
	}
	return nil
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(int64(n)) + " " + noun + "s"
}

func (k *kafkaQueue) askSettings(ctx context.Context, v *visit, client *wire.Client) {
	report, err := kafka.Verify(ctx, client, k.client, int64(v.cfg.Limits.Message))
	if err != nil {
		v.bad("%v", namingFile(advised(err), v.cfg.File))
		return
	}
	for i := range report.Findings {
		f := &report.Findings[i]
		tell := v.note
		if f.Severity == queue.Error {
			tell = v.bad
		}
		tell("%s", named(f.String(), v.cfg.File))
	}
}

func (k *kafkaQueue) askCompanions(ctx context.Context, v *visit, client *wire.Client) {
	found, err := kafka.Plan(ctx, client, k.client, kafka.SetupOptions{DeadLetters: lettersBeside(k.cfg), Parked: k.cfg.Parked()})
	var missing *queue.MissingError
	if errors.As(err, &missing) { // Verify said so
		return
	}
	if err != nil {
		v.bad("%v", namingFile(advised(err), v.cfg.File))
	}
	for i := range found {
		noun := "topic of parked records"
		switch {
		case strings.HasSuffix(found[i].Name, ".dlq"):
			noun = "dead letter topic"
		case strings.HasSuffix(found[i].Name, ".dlq.done"):
			if noun = "topic of resolved letters"; found[i].Action == queue.Create {
				continue // it is made when the first letter is resolved
			}
		}
		v.companion(noun, &found[i])
	}
}

// boxes are the dead letter topics of all topics.
func (k *kafkaQueue) boxes(ctx context.Context, _ *zap.Logger) ([]queue.LetterBox, error) {
	boxes, err := letterbox.OpenAll(ctx, k.client)
	if err != nil {
		return nil, advised(err)
	}
	return boxes, nil
}
