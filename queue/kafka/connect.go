package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// Connect makes the client that a Config describes. It dials nothing yet; errors
// are about files and settings.
func Connect(cfg *Config) (*wire.Client, error) { return connect(cfg, nil) }

func connect(cfg *Config, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (*wire.Client, error) {
	w := wire.Config{
		Dial:                 dial,
		Brokers:              cfg.Brokers,
		ClientID:             cfg.ClientID,
		SASL:                 cfg.SASL,
		AllowPlainWithoutTLS: cfg.AllowPlainWithoutTLS,
	}
	if cfg.useTLS() {
		w.TLS = &cfg.TLS
	}
	client, err := wire.NewClient(w)
	if err != nil {
		return nil, fmt.Errorf("couldn't use source.kafka: %w", err)
	}
	return client, nil
}

// open waits for the cluster and learns what there is before the group is joined.
func (s *Source) open(ctx context.Context) error {
	var err error
	if s.startAt, err = s.cfg.startAt(); err != nil {
		return err
	}
	a := newAtlas(s.cfg.Topics, nil, isCompanion)
	if s.role.companion {
		a.ours = func(string) bool { return false }
	}
	if s.cfg.TopicsRegex != "" {
		if a.pattern, err = s.cfg.pattern(); err != nil {
			return err
		}
		a.topics = nil
	}
	s.atlas = a
	c, err := s.reach(ctx)
	if err != nil {
		return err
	}
	s.cluster = c.ID
	a.learn(c, time.Now())
	for topic, n := range a.counts {
		for p := range n {
			s.first[wire.TopicPartition{Topic: topic, Partition: p}] = true
		}
	}
	if s.cfg.Start == StartEarliest {
		return nil // what the group has read before changes nothing
	}
	return s.recall(ctx)
}

// reach asks for metadata until somebody answers, but not longer than
// ConnectTimeout.
func (s *Source) reach(ctx context.Context) (*wire.Cluster, error) {
	if s.cfg.ConnectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.cfg.ConnectTimeout)
		defer cancel()
	}
	var before error
	for n := 0; ; n++ {
		c, err := s.look(ctx)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil && before != nil {
			err = before // the deadline's own words say nothing
		}
		before = err
		if !wire.IsPermanent(err) {
			s.log.Warn("waits for the brokers", zap.Error(err))
			if waitFor(ctx, retryIn(n), nil) == nil {
				continue
			}
		}
		return nil, fmt.Errorf("couldn't reach the Kafka cluster: %w", advised(err))
	}
}

// advised adds what to do about an error.
func advised(err error) error {
	if advice := wire.Advice(err); advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

// look asks for metadata, and whether the broker is one we can talk to.
func (s *Source) look(ctx context.Context) (*wire.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.client.Metadata(ctx, s.atlas.ask())
	if err != nil {
		return nil, err
	}
	for _, b := range c.Brokers {
		return c, s.client.CheckVersions(ctx, b.Addr())
	}
	return nil, errors.New("the cluster names no broker")
}

// recall finds the topics that the group has read before: a partition of them
// without a committed offset is one that appeared later.
func (s *Source) recall(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var ask []wire.TopicPartition
	for at := range s.first {
		ask = append(ask, at)
	}
	for n := 0; ; n++ {
		got, err := s.committed(ctx, ask)
		if err == nil {
			for at, c := range got {
				if c.Offset >= 0 {
					s.settled[at.Topic] = true
				}
			}
			return nil
		}
		if wire.IsPermanent(err) || waitFor(ctx, retryIn(n), nil) != nil {
			return fmt.Errorf("couldn't find out what group %s has read before: %w", s.cfg.Group, err)
		}
	}
}

// committed asks the coordinator for the group's offsets.
func (s *Source) committed(ctx context.Context, ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.client.Coordinator(ctx, s.cfg.Group)
	if err != nil {
		return nil, fmt.Errorf("couldn't find the coordinator: %w", err)
	}
	got, err := s.client.Committed(ctx, c.Addr(), s.cfg.Group, ps)
	switch {
	case errors.Is(err, kafkago.GroupIdNotFound):
		return nil, nil // nobody has ever committed
	case err != nil:
		return nil, fmt.Errorf("couldn't read the committed offsets: %w", err)
	}
	return got, nil
}
