package nats

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// durable is the consumer of a lane, the same for all pods.
func (b *backlog) durable(suffix string) Consumer {
	sum := sha256.Sum256([]byte(suffix))
	return Consumer{Stream: b.stream, Durable: "lane_" + hex.EncodeToString(sum[:12]), Subjects: []string{b.prefix + suffix}}
}

// errFull says that the stream has as many durables as a probe may add to.
var errFull = errors.New("the companion serves as many lanes as it may")

// openDurable makes the durable of a lane if it is missing and returns its present
// incarnation. open says that records may be out beyond the one of a probe; spare that
// a missing one may be made for a probe.
func (p *Parked) openDurable(ctx context.Context, one Consumer, open, spare bool) (*birth, error) {
	c := p.sink.conn
	info, err := c.askConsumer(ctx, one)
	switch {
	case isCode(err, jetstream.JSErrCodeConsumerNotFound):
		if !open && !spare {
			return nil, errFull
		}
		err = p.createDurable(ctx, one, open)
	case err != nil:
		return nil, err
	case open && info.Config.MaxAckPending == 1:
		err = c.setMaxAckPending(ctx, one, p.mostOut())
	case !open && info.Config.MaxAckPending != 1 && quiet(info):
		err = c.setMaxAckPending(ctx, one, 1)
	}
	if err != nil {
		return nil, err
	}
	return c.observe(ctx, one)
}

// quiet says that no pod has had a record of the lane delivered for a while, so that
// none holds it open.
func quiet(info *jetstream.ConsumerInfo) bool {
	last := info.AckFloor.Last
	now := info.TimeStamp
	if now.IsZero() {
		now = time.Now()
	}
	return last == nil || now.Sub(*last) > 2*probeInterval
}

// mostOut is how many records of an open lane may be out, over all pods.
func (p *Parked) mostOut() int { return podWindow * p.cfg.MaxPods }

func (p *Parked) createDurable(ctx context.Context, one Consumer, open bool) error {
	config := jetstream.ConsumerConfig{
		Durable: one.Durable, Name: one.Durable, FilterSubjects: one.Subjects,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, ReplayPolicy: jetstream.ReplayInstantPolicy,
		AckWait: max(p.cfg.AckWait, MinAckWait), MaxDeliver: -1, MaxAckPending: 1, MaxWaiting: max(512, 4*p.cfg.MaxPods),
		InactiveThreshold: laneForgotten,
	}
	if open {
		config.MaxAckPending = p.mostOut()
	}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	err := p.sink.conn.writeConsumer(ctx, one, "create", config)
	switch {
	case isCode(err, jetstream.JSErrCodeConsumerExists), isCode(err, jetstream.JSErrCodeConsumerNameExists):
		return nil // another pod was quicker, and sees the lane otherwise
	case isCode(err, jetstream.JSErrCodeMaximumConsumersLimit):
		return errFull
	case err != nil:
		return fmt.Errorf("couldn't make the consumer of a parked lane: %w", err)
	}
	return nil
}

// setMaxAckPending changes how many messages of a consumer may be out.
func (c *Conn) setMaxAckPending(ctx context.Context, one Consumer, n int) error {
	var now struct {
		Config rawConfig `json:"config"`
	}
	if err := c.brief(ctx, "CONSUMER.INFO."+one.Stream+"."+one.Durable, nil, &now); err != nil {
		return fmt.Errorf("couldn't read consumer %s of stream %s: %w", one.Durable, one.Stream, err)
	}
	now.Config["max_ack_pending"] = json.RawMessage(fmt.Sprint(n))
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	if err := c.writeConsumer(ctx, one, "update", now.Config); err != nil {
		return fmt.Errorf("couldn't let out %d messages of consumer %s of stream %s at once: %w", n, one.Durable, one.Stream, err)
	}
	return nil
}

// retire deletes the durable of a lane that is empty, and no other: with the durable
// of a lane that is not, the acknowledgements of other pods would be lost.
func (p *Parked) retire(ctx context.Context, one Consumer) error {
	c := p.sink.conn
	_, err := c.following(ctx, one.Stream, one.Subjects[0], 1)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, errNoMessage):
		return err
	}
	err = c.brief(ctx, "CONSUMER.DELETE."+one.Stream+"."+one.Durable, nil, nil)
	if err != nil && !Missing(err) {
		return fmt.Errorf("couldn't delete consumer %s of stream %s: %w", one.Durable, one.Stream, err)
	}
	return nil
}
