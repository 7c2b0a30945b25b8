//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	kafkaqueue "github.com/flushline/flushline/queue/kafka"
	natsqueue "github.com/flushline/flushline/queue/nats"
	natshistory "github.com/flushline/flushline/queue/nats/history"
)

func (s *benchServer) live(l load) (liveSide, error) {
	cfg := (benchEnv{url: s.url, durable: "live", load: l}).config()
	conn, err := natsqueue.Connect(context.Background(), cfg, zap.NewNop())
	if err != nil {
		return liveSide{}, err
	}
	body, err := sample(l.Bytes).Marshal()
	if err != nil {
		conn.Close()
		return liveSide{}, err
	}
	n := 0
	return liveSide{
		source: fmt.Sprintf("nats: {url: %q, stream: %s, durable: live}", s.url, l.Stream),
		lag:    func() (int64, error) { return natshistory.Lag(context.Background(), conn, cfg) },
		send: func() (one, flush func() error, err error) {
			nc, err := nats.Connect(s.url)
			if err != nil {
				return nil, nil, err
			}
			js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
			one = func() error {
				n++
				_, err := js.PublishMsgAsync(keyed(l, body, n), jetstream.WithStallWait(time.Minute))
				return err
			}
			return one, func() error { <-js.PublishAsyncComplete(); nc.Close(); return nil }, err
		},
		close: conn.Close,
	}, nil
}

func (s *kafkaServer) live(l load) (liveSide, error) {
	cfg := (benchEnv{url: s.address(), durable: "live", load: l}).kafkaConfig()
	client, err := kafkaqueue.Connect(cfg)
	if err != nil {
		return liveSide{}, err
	}
	body, err := sample(l.Bytes).Marshal()
	if err != nil {
		client.Close()
		return liveSide{}, err
	}
	n := 0
	return liveSide{
		source: fmt.Sprintf("kafka: {brokers: [\"%s\"], topics: [%s], group: live}", strings.Join(s.cluster.Bootstrap(), `", "`), l.Stream),
		lag: func() (int64, error) {
			lag, err := kafkaqueue.GroupLag(context.Background(), client, cfg)
			if err != nil {
				return 0, err
			}
			return lag.Total(), nil
		},
		send: func() (one, flush func() error, err error) {
			cl, err := s.client()
			if err != nil {
				return nil, nil, err
			}
			var failed error // promises are called one at a time
			one = func() error {
				n++
				cl.Produce(context.Background(), record(l, body, n, int32(n%l.Partitions)), func(_ *kgo.Record, err error) {
					if err != nil {
						failed = err
					}
				})
				return nil
			}
			flush = func() error {
				defer cl.Close()
				if err := cl.Flush(context.Background()); err != nil {
					return err
				}
				return failed
			}
			return one, flush, nil
		},
		close: client.Close,
	}, nil
}
