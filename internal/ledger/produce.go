package ledger

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/flushline/flushline/protocol"
)

// confirmWithin bounds the wait for one confirmation. A group that takes longer
// has an unknown outcome.
const confirmWithin = 5 * time.Second

// Send publishes one group with its key and returns once the broker stored it.
type Send func(ctx context.Context, key protocol.Key, body []byte) error

// Produce publishes the load to JetStream, on subjects of the key; see
// [ProduceTo].
func Produce(ctx context.Context, nc *nats.Conn, load Load, journal *Journal) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("couldn't use JetStream: %w", err)
	}
	return ProduceTo(ctx, ToNATS(js, &load), load, journal)
}

// ToNATS sends groups to JetStream as the load says.
func ToNATS(js jetstream.JetStream, load *Load) Send {
	return func(ctx context.Context, key protocol.Key, body []byte) error {
		_, err := js.PublishMsg(ctx, load.message(key, body))
		return err
	}
}

// ProduceTo publishes the load and returns when Load.Groups groups are confirmed,
// or, without an error, when ctx ends. A publish that fails or is not answered
// leaves its group tried and unconfirmed, and another takes its place: ids are
// never published twice, so every duplicate is the worker's or the broker's.
func ProduceTo(ctx context.Context, send Send, load Load, journal *Journal) error {
	if len(load.Keys) == 0 {
		return fmt.Errorf("couldn't produce: the load has no keys")
	}
	p := &producer{send: send, load: load, journal: journal, limit: rate.NewLimiter(rate.Inf, 0)}
	if load.Rate > 0 {
		p.limit = rate.NewLimiter(rate.Limit(load.Rate), max(1, load.Rate/20))
	}
	g, ctx := errgroup.WithContext(ctx)
	workers := load.Workers
	if workers == 0 {
		workers = 32
	}
	for range workers {
		g.Go(func() error { return p.run(ctx) })
	}
	return g.Wait()
}

type producer struct {
	send    Send
	load    Load
	journal *Journal
	limit   *rate.Limiter
	claimed atomic.Int64 // confirmed or being tried
}

func (p *producer) run(ctx context.Context) error {
	for p.claim() && p.paced(ctx) {
		stored, err := p.publish(ctx)
		if err != nil {
			return err
		}
		if !stored {
			if p.load.Groups > 0 {
				p.claimed.Add(-1)
			}
			if !wait(ctx, 50*time.Millisecond) {
				return nil
			}
		}
	}
	return nil
}

func (p *producer) claim() bool {
	if p.load.Groups == 0 {
		return true
	}
	for {
		n := p.claimed.Load()
		if n >= int64(p.load.Groups) {
			return false
		}
		if p.claimed.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// paced is false when ctx ended first.
func (p *producer) paced(ctx context.Context) bool { return p.limit.Wait(ctx) == nil }

// publish says whether the broker confirmed; its error is the journal's.
func (p *producer) publish(ctx context.Context) (bool, error) {
	n, err := p.journal.try(&p.load)
	if err != nil {
		return false, err
	}
	body, err := p.load.group(n).Marshal()
	if err != nil {
		return false, fmt.Errorf("couldn't marshal group %d: %w", n, err)
	}
	// Not derived from ctx's end: a publish that is under way is waited for, so
	// that a stopped load leaves as few unknown outcomes as can be.
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmWithin)
	defer cancel()
	if err := p.send(wait, p.load.key(n), body); err == nil {
		return true, p.journal.confirm(n)
	}
	return false, nil // the outcome is unknown, and the journal says so
}

// message is a group with its key in the headers, as producers send it.
func (l *Load) message(key protocol.Key, body []byte) *nats.Msg {
	prefix := l.Subject
	if prefix == "" {
		prefix = "logs"
	}
	msg := nats.NewMsg(prefix + "." + key.Project + "." + key.Logstore + "." + key.Config)
	msg.Data = body
	msg.Header.Set(protocol.HeaderProject, key.Project)
	msg.Header.Set(protocol.HeaderLogstore, key.Logstore)
	msg.Header.Set(protocol.HeaderConfig, key.Config)
	return msg
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
