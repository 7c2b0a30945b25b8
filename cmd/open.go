package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	natsgo "github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/file"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/embedded"
)

// This file is the one place that turns a configuration into queues.

// broker is how the source's queue is reached: a server elsewhere, or the
// embedded one, which start runs.
type broker struct {
	cfg     *nats.Config
	options []natsgo.Option
	name    string // of the source, in metrics and status
	close   func()
}

func start(ctx context.Context, src *configs.Source, log *zap.Logger) (*broker, error) {
	if src.Embedded == nil {
		return &broker{cfg: src.NATS, name: "nats", close: func() {}}, nil
	}
	server, err := embedded.Start(ctx, *src.Embedded, log)
	if err != nil {
		return nil, err
	}
	return &broker{
		cfg: server.ClientConfig(), name: "embedded",
		options: []natsgo.Option{server.InProcess()}, close: server.Close,
	}, nil
}

// queues is what a worker reads from and puts dead letters to.
type queues struct {
	broker  *broker
	source  *nats.Source
	letters queue.Sink // nil: none
	closers []func()
}

func (q *queues) close() {
	for _, c := range slices.Backward(q.closers) {
		c()
	}
}

// openQueues connects, verifies what loses or stalls data, and makes the
// companions, so that nothing of it is found out at the first failure.
func openQueues(ctx context.Context, cfg *configs.Config, log *zap.Logger) (q *queues, err error) {
	q = &queues{}
	defer func() {
		if err != nil {
			q.close()
			q, err = nil, unavailable(namingFile(err, cfg.File))
		}
	}()
	if q.broker, err = start(ctx, &cfg.Source, log); err != nil {
		return q, err
	}
	q.closers = append(q.closers, q.broker.close)
	q.source, err = nats.Open(ctx, q.broker.cfg, nats.Options{
		Window: cfg.Limits.Window, MaxMessage: int64(cfg.Limits.Message),
		Name: q.broker.name, Log: log, NATS: q.broker.options,
	})
	if err != nil {
		return q, err
	}
	q.closers = append(q.closers, q.source.Close)
	return q, q.openLetters(ctx, cfg)
}

// openLetters is the companion of each consumer, or a directory.
func (q *queues) openLetters(ctx context.Context, cfg *configs.Config) error {
	switch {
	case cfg.DeadLetter.None:
		return nil
	case cfg.DeadLetter.File != "":
		sink, err := file.OpenLetters(cfg.DeadLetter.File, hostName())
		if err != nil {
			return fmt.Errorf("couldn't open dead_letter.file: %w", err)
		}
		q.letters = sink
		q.closers = append(q.closers, func() { _ = sink.Close() }) // each Put is on the disk already
		return nil
	}
	boxes := &letterBoxes{of: map[string]queue.Sink{}}
	for _, consumer := range q.broker.cfg.List() {
		sink, err := nats.DeadLetters(ctx, q.source.Conn(), q.broker.cfg, consumer)
		if err != nil {
			return err
		}
		boxes.of[strandName(consumer)] = sink
		if boxes.first == nil {
			boxes.first = sink
		}
	}
	q.letters = boxes
	if len(boxes.of) == 1 {
		q.letters = boxes.first
	}
	return nil
}

func strandName(c nats.Consumer) string { return c.Stream + "/" + c.Durable }

// openPublisher is the way into the queue that the flags or the configuration
// name.
func (p *program) openPublisher(ctx context.Context, o *publishOptions) (*publisher, error) {
	client, stream, err := p.publishTarget(o)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(ctx, client, p.warnings())
	if err != nil {
		return nil, unavailable(err)
	}
	to := &publisher{close: conn.Close, subject: subjects(o.subject, client.List()[0].Subjects)}
	if stream == "" {
		if stream, err = streamOf(ctx, conn, to.subject(withFlags(protocol.Key{Project: "any", Logstore: "any", Config: "any"}, o.key))); err != nil {
			conn.Close()
			return nil, unavailable(err)
		}
	}
	sink, err := nats.NewPublisher(ctx, conn, stream)
	if err != nil {
		conn.Close()
		return nil, unavailable(namingFile(err, o.config))
	}
	to.sink, to.maxPayload = sink, int(conn.NATS().MaxPayload())
	return to, nil
}

// publishTarget is how to connect, and the stream if a configuration names it.
func (p *program) publishTarget(o *publishOptions) (*nats.Config, string, error) {
	client := nats.DefaultConfig()
	client.Name = "flushline publish"
	if o.url != "" {
		client.URL = o.url
		client.ConnectTimeout = publishPatience
		return &client, "", nil
	}
	if o.config == "" {
		return nil, "", usage(errors.New("where to? give the worker's configuration with -c FILE, or the server with --url"))
	}
	cfg, err := p.loadShown(o.config)
	if err != nil {
		return nil, "", err
	}
	if e := cfg.Source.Embedded; e != nil {
		client.URL, client.Token = "nats://"+e.Listen, e.Token
		client.Stream, client.Durable, client.Subjects = e.Stream, e.Durable, e.Subjects
	} else {
		client = *cfg.Source.NATS
	}
	client.ConnectTimeout = publishPatience
	return &client, client.List()[0].Stream, nil
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

func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown" // only a label: nothing depends on its being unique
	}
	return host
}
