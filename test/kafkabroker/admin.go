package kafkabroker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// within bounds one helper call.
const within = 30 * time.Second

// Client is a kgo client on the internal listener, which every user may use. The
// caller closes it.
func (c *Cluster) Client(tb TB, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	cl, err := c.client(opts...)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	return cl
}

func (c *Cluster) client(opts ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.internal()...), kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("couldn't make a client: %w", err)
	}
	return cl, nil
}

// do runs one helper with a client of its own.
func (c *Cluster) do(tb TB, what string, f func(context.Context, *kgo.Client) error) {
	tb.Helper()
	cl, err := c.client()
	if err == nil {
		defer cl.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), within)
		defer cancel()
		err = f(ctx, cl)
	}
	if err != nil {
		tb.Fatalf("couldn't %s: %v", what, err)
	}
}
