package cmd

import (
	"context"

	natsgo "github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/embedded"
)

// embeddedQueue is a JetStream server that the worker itself runs.
type embeddedQueue struct{ cfg *configs.Config }

var _ broker = (*embeddedQueue)(nil)

func (e *embeddedQueue) describe() (place, read string) {
	c := e.cfg.Source.Embedded
	return "embedded in " + c.Dir + ", on " + c.Listen, c.Stream + "/" + c.Durable
}

func (e *embeddedQueue) companions(entry queue.Lane) (letters, parked string) {
	return (&natsQueue{client: embeddedClient(e.cfg.Source.Embedded)}).companions(entry)
}

func (e *embeddedQueue) open(ctx context.Context, q *queues, log *zap.Logger) error {
	server, err := embedded.Start(ctx, *e.cfg.Source.Embedded, log)
	if err != nil {
		return err
	}
	q.closing(server.Close)
	q.own, err = openNATS(ctx, q, e.cfg, server.ClientConfig(), nats.Options{
		Name: "embedded", Log: log, NATS: []natsgo.Option{server.InProcess()},
	})
	return err
}

func (e *embeddedQueue) plan(context.Context, *setupOptions, *zap.Logger) (*plan, error) {
	return &plan{needless: "`flushline run` makes the embedded queue in " + e.cfg.Source.Embedded.Dir, close: func() {}}, nil
}

// publisher reaches the server of a running worker from outside.
func (e *embeddedQueue) publisher(ctx context.Context, o *publishOptions, log *zap.Logger) (*publisher, error) {
	client := embeddedClient(e.cfg.Source.Embedded)
	client.Name = "flushline publish"
	return (&natsQueue{cfg: e.cfg, client: client}).publisher(ctx, o, log)
}

// embeddedClient reaches the server of a running worker from outside.
func embeddedClient(c *embedded.Config) *nats.Config {
	client := nats.DefaultConfig()
	client.URL, client.Token = "nats://"+c.Listen, c.Token
	client.Stream, client.Durable, client.Subjects = c.Stream, c.Durable, c.Subjects
	client.Strict = c.Strict
	return &client
}

func (e *embeddedQueue) ask(_ context.Context, v *visit) {
	v.note("the embedded queue in %s is started by `run`: there is nothing to ask before", e.cfg.Source.Embedded.Dir)
}

func (e *embeddedQueue) boxes(ctx context.Context, log *zap.Logger) ([]queue.LetterBox, error) {
	boxes, err := e.outside().boxes(ctx, log)
	if err != nil {
		return nil, e.asleep(err)
	}
	return boxes, nil
}
