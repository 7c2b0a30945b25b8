package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
)

// Within is a context for a request: it ends after d, and as soon as the connection
// breaks, because no answer comes on another one. Its cause is then
// nats.ErrDisconnected. cancel must be called.
func (c *Conn) Within(ctx context.Context, d time.Duration) (_ context.Context, cancel func()) {
	ctx, expire := context.WithTimeout(ctx, d)
	ctx, end := context.WithCancelCause(ctx)
	line := c.Line()
	go func() {
		for {
			changed := c.Changed()
			if c.Line() != line {
				end(nats.ErrDisconnected)
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		end(nil)
		expire()
	}
}

// Ask is Request within 10 seconds and one connection. Silence is explained.
func (c *Conn) Ask(ctx context.Context, op string, req, resp any) error {
	limited, cancel := c.Within(ctx, apiTimeout)
	defer cancel()
	err := c.Request(limited, op, req, resp)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case errors.Is(context.Cause(limited), nats.ErrDisconnected):
		return fmt.Errorf("couldn't call %s%s: %w", c.prefix, op, nats.ErrDisconnected)
	}
	return explainSilence(err, c.prefix+op)
}

// insist is Ask on one connection after another, for as long as a start waits for a
// server (connect_timeout): one that goes away or comes back meanwhile says nothing
// about what was asked. Silence on a connection that stands is not waited out twice.
func (c *Conn) insist(ctx context.Context, op string, req, resp any) error {
	if c.patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience)
		defer cancel()
	}
	ask := func() error {
		err := c.Ask(ctx, op, req, resp)
		silent := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
		if err != nil && (silent || !Away(err)) {
			return permanent(err)
		}
		return err
	}
	return retry(ctx, ask, func(err error) { c.log.Info("asking nats again", zap.Error(err)) })
}
