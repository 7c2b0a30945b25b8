package cmd

import (
	"context"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/jobstate"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// kafkaPast is the topics that a source reads.
type kafkaPast struct {
	env    *jobEnv
	cfg    *kafka.Config
	client *wire.Client
}

var _ rangePast = (*kafkaPast)(nil)

func openKafkaPast(_ context.Context, env *jobEnv) (past, error) {
	cfg := env.cfg.Source.Kafka
	client, err := kafka.Connect(cfg)
	if err != nil {
		return nil, err
	}
	env.q.closing(client.Close)
	return &kafkaPast{env: env, cfg: cfg, client: client}, nil
}

func (k *kafkaPast) input() job.Input {
	return history.New(k.client, k.cfg, history.Options{MaxDecompressed: int64(k.env.cfg.Limits.Decompressed), Log: k.env.log})
}

func (k *kafkaPast) letters(ctx context.Context) (queue.Sink, error) {
	letters, err := kafka.DeadLetters(ctx, k.client, k.cfg)
	if err != nil {
		return nil, advised(err)
	}
	return letters, nil
}

func (k *kafkaPast) rangeOf(ctx context.Context, from, to job.Bound, of int) (*job.Plan, error) {
	plan, err := history.PlanRange(ctx, k.client, k.cfg, from, to, of)
	if err != nil {
		return nil, advised(err)
	}
	return plan, nil
}

func (k *kafkaPast) lag(ctx context.Context) (int64, error) {
	lag, err := kafka.GroupLag(ctx, k.client, k.cfg)
	if err != nil {
		return 0, err
	}
	var n int64
	for i := range lag.Topics {
		n += lag.Topics[i].Total()
	}
	return n, nil
}

// kafkaShelf keeps each job in a compacted topic.
type kafkaShelf struct {
	cfg    *kafka.Config
	client *wire.Client
	env    *jobEnv
}

func kafkaShelfOf(env *jobEnv, cfg *kafka.Config) (shelf, error) {
	client, err := kafka.Connect(cfg)
	if err != nil {
		return nil, err
	}
	env.q.closing(client.Close)
	return &kafkaShelf{cfg: cfg, client: client, env: env}, nil
}

func (k *kafkaShelf) open(ctx context.Context, name string, of int) (job.State, error) {
	return jobstate.OpenState(ctx, k.client, k.cfg, name, of, jobstate.Options{Log: k.env.log})
}

func (k *kafkaShelf) names(ctx context.Context) ([]string, error) {
	return jobstate.ListJobs(ctx, k.client, k.cfg)
}
