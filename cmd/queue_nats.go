package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/letterbox"
)

// natsQueue is a source on NATS JetStream.
type natsQueue struct {
	cfg    *configs.Config // nil: the flags of `publish` name it
	client *nats.Config
}

var _ broker = (*natsQueue)(nil)

func (n *natsQueue) describe() (place, read string) {
	var names []string
	for _, c := range n.client.List() {
		names = append(names, strandName(c))
	}
	return "nats " + nats.Redact(n.client.URL), strings.Join(names, ", ")
}

func (n *natsQueue) companions(queue.Lane) (letters, parked string) {
	var l, p []string
	for _, one := range n.client.List() {
		letter, record := nats.CompanionNames(one)
		l, p = append(l, letter), append(p, record)
	}
	return "stream " + strings.Join(l, ", "), "stream " + strings.Join(p, ", ")
}

func strandName(c nats.Consumer) string { return c.Stream + "/" + c.Durable }

func (n *natsQueue) open(ctx context.Context, q *queues, log *zap.Logger) error {
	_, err := openNATS(ctx, q, n.cfg, n.client, nats.Options{Name: "nats", Log: log})
	return err
}

// natsClient is an open connection and what it was opened with.
type natsClient struct {
	cfg  *nats.Config
	conn *nats.Conn
}

// openNATS fills q with a source and the dead letter stream of each consumer.
func openNATS(ctx context.Context, q *queues, cfg *configs.Config, client *nats.Config, opt nats.Options) (*natsClient, error) {
	opt.Window, opt.MaxMessage = cfg.Limits.Window, int64(cfg.Limits.Message)
	source, err := nats.Open(ctx, client, opt)
	if err != nil {
		return nil, err
	}
	q.source = source
	q.closing(source.Close)
	open := &natsClient{client, source.Conn()}
	if err := open.letters(ctx, q, cfg); err != nil {
		return nil, err
	}
	return open, open.park(ctx, q, cfg, opt)
}

// letters opens the dead letter streams if letters stay beside the source.
func (n *natsClient) letters(ctx context.Context, q *queues, cfg *configs.Config) error {
	if !lettersBeside(cfg) {
		return nil
	}
	boxes, err := natsLetters(ctx, n.conn, n.cfg)
	if err != nil {
		return err
	}
	q.letters = boxes.sink()
	return nil
}

// natsLetters makes or verifies the dead letter stream of each consumer.
func natsLetters(ctx context.Context, conn *nats.Conn, client *nats.Config) (*letterBoxes, error) {
	boxes := &letterBoxes{of: map[string]queue.Sink{}}
	for _, consumer := range client.List() {
		sink, err := nats.DeadLetters(ctx, conn, client, consumer)
		if err != nil {
			return nil, err
		}
		boxes.add(strandName(consumer), sink)
	}
	return boxes, nil
}

func (n *natsQueue) plan(ctx context.Context, o *setupOptions, log *zap.Logger) (*plan, error) {
	switch {
	case o.replicas > 5:
		return nil, usage(errors.New("--replicas must be 1 to 5 on NATS"))
	case o.partitions > 0 || o.offsets:
		return nil, usage(errors.New("--partitions and --offsets are for Kafka"))
	}
	conn, err := nats.Connect(ctx, n.client, log)
	if err != nil {
		return nil, err
	}
	found, err := nats.Plan(ctx, conn, n.client, nats.SetupOptions{
		Update: o.update, Replicas: o.replicas, MaxBytes: int64(o.maxBytes), MaxAge: o.maxAge,
		DeadLetters: lettersBeside(n.cfg), Parked: n.cfg.Parks(),
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	p := &plan{steps: found, close: conn.Close}
	for i := range found {
		s := &found[i]
		if s.Action == queue.Create && s.What == "stream" && o.maxAge == 0 {
			p.remark = "no max_age: the stream keeps every message for ever, acknowledged ones too; see `flushline setup --help`"
		}
	}
	return p, nil
}

func (n *natsQueue) publisher(ctx context.Context, o *publishOptions, log *zap.Logger) (*publisher, error) {
	if o.topic != "" {
		return nil, usage(errors.New("--topic is for Kafka: give --subject"))
	}
	client := *n.client
	client.ConnectTimeout = publishPatience
	conn, err := nats.Connect(ctx, &client, log)
	if err != nil {
		return nil, err
	}
	first := client.List()[0]
	to := &publisher{
		close: conn.Close, subject: subjects(o.subject, first.Subjects), maxPayload: int(conn.NATS().MaxPayload()),
		larger: "raise max_payload of the server",
	}
	stream := first.Stream
	if stream == "" {
		stream, err = streamOf(ctx, conn, to.subject(withFlags(protocol.Key{Project: "any", Logstore: "any", Config: "any"}, o.key)))
	}
	if err == nil {
		to.sink, err = nats.NewPublisher(ctx, conn, stream)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return to, nil
}

// natsByURL is a server that is only published to.
func natsByURL(url string) *natsQueue {
	client := nats.DefaultConfig()
	client.URL, client.Name = url, "flushline publish"
	return &natsQueue{client: &client}
}

// streamOf asks which stream takes a subject.
func streamOf(ctx context.Context, conn *nats.Conn, subject string) (string, error) {
	js, err := conn.JetStream()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	name, err := js.StreamNameBySubject(ctx, subject)
	if err != nil {
		return "", fmt.Errorf("couldn't find a stream that takes %s: %w; `flushline setup -c FILE` makes one, --subject names another subject", subject, err)
	}
	return name, nil
}

// subjects says where a key is published: the given subject, or below the first
// of the source's that ends in ".>".
func subjects(given string, filters []string) func(protocol.Key) string {
	if given != "" {
		return func(protocol.Key) string { return given }
	}
	prefix := "logs"
	for _, f := range filters {
		if p, ok := strings.CutSuffix(f, ".>"); ok && !strings.ContainsAny(p, "*") {
			prefix = p
			break
		}
	}
	return func(key protocol.Key) string { return subjectOf(prefix, key) }
}

// ask tells about server, streams, consumers and companions.
func (n *natsQueue) ask(ctx context.Context, v *visit) {
	client := *n.client
	client.ConnectTimeout = v.patience
	conn, err := nats.Connect(ctx, &client, nil)
	if err != nil {
		v.bad("%v", err)
		return
	}
	defer conn.Close()
	v.good("nats %s answers", nats.Redact(client.URL))
	for _, one := range client.List() {
		v.within(ctx, func(ctx context.Context) { askConsumer(ctx, v, conn, one, &client) })
	}
	if lettersBeside(n.cfg) || n.cfg.Parks() {
		v.within(ctx, func(ctx context.Context) {
			found, err := nats.Plan(ctx, conn, &client, nats.SetupOptions{DeadLetters: lettersBeside(n.cfg), Parked: n.cfg.Parks()})
			if err != nil {
				v.bad("%v", namingFile(err, v.cfg.File))
			}
			for i := range found {
				noun := "dead letter stream"
				if strings.HasSuffix(found[i].Name, "_PARKED") {
					noun = "stream of parked records"
				}
				v.companion(noun, &found[i])
			}
		})
	}
}

func askConsumer(ctx context.Context, v *visit, conn *nats.Conn, one nats.Consumer, client *nats.Config) {
	report, err := nats.Verify(ctx, conn, one, client)
	if err != nil {
		v.bad("%v", namingFile(err, v.cfg.File))
		return
	}
	broken := false
	for i := range report.Findings {
		f := &report.Findings[i]
		text := named(f.String(), v.cfg.File)
		if f.Severity == queue.Error {
			broken = true
			v.bad("%s", text)
		} else {
			v.note("%s", text)
		}
	}
	if !broken {
		v.good("stream %s, consumer %s: %s", one.Stream, one.Durable, pending(ctx, conn, one))
	}
}

func pending(ctx context.Context, conn *nats.Conn, one nats.Consumer) string {
	js, err := conn.JetStream()
	if err != nil {
		return err.Error()
	}
	c, err := js.Consumer(ctx, one.Stream, one.Durable)
	if err != nil {
		return err.Error()
	}
	info := c.CachedInfo()
	return fmt.Sprintf("%s to deliver, %s delivered and not acknowledged", number(int64(info.NumPending)), number(int64(info.NumAckPending)))
}

// boxes are the dead letter streams of all consumers.
func (n *natsQueue) boxes(ctx context.Context, log *zap.Logger) ([]queue.LetterBox, error) {
	conn, err := nats.Connect(ctx, n.client, log)
	if err != nil {
		return nil, err
	}
	var boxes []queue.LetterBox
	for _, one := range n.client.List() {
		boxes = append(boxes, letterbox.New(conn, one)) // each closes it, which is done once
	}
	return boxes, nil
}
