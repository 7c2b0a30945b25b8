package cmd

import (
	"context"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/history"
	"github.com/flushline/flushline/queue/nats/jobstate"
)

// natsPast is the streams that a source's consumers read.
type natsPast struct {
	cfg  *nats.Config
	conn *nats.Conn
}

var _ rangePast = (*natsPast)(nil)

// natsClientOf reaches the source's server; an embedded one from outside of its
// worker.
func natsClientOf(src *configs.Source) *nats.Config {
	if src.Embedded == nil {
		return src.NATS
	}
	return embeddedClient(src.Embedded)
}

func openNATSPast(ctx context.Context, env *jobEnv) (past, error) {
	cfg := natsClientOf(&env.cfg.Source)
	conn, err := nats.Connect(ctx, cfg, env.log)
	if err != nil {
		return nil, err
	}
	env.q.closing(conn.Close)
	return &natsPast{cfg: cfg, conn: conn}, nil
}

func (n *natsPast) input() job.Input { return history.NewInput(n.conn, n.cfg, history.Options{}) }

func (n *natsPast) letters(ctx context.Context) (queue.Sink, error) {
	boxes, err := natsLetters(ctx, n.conn, n.cfg)
	if err != nil {
		return nil, err
	}
	return boxes.sink(), nil
}

func (n *natsPast) rangeOf(ctx context.Context, from, to job.Bound, of int) (*job.Plan, error) {
	return history.PlanRange(ctx, n.conn, n.cfg, from, to, of)
}

func (n *natsPast) lag(ctx context.Context) (int64, error) { return history.Lag(ctx, n.conn, n.cfg) }

// natsShelf keeps jobs in a key-value bucket.
type natsShelf struct {
	conn   *nats.Conn
	bucket string
	like   string // a stream whose replicas a new bucket gets; may be empty
}

func natsShelfOf(ctx context.Context, env *jobEnv, cfg *nats.Config, bucket string) (shelf, error) {
	if bucket == "" {
		bucket = configs.DefaultBucket
	}
	conn, err := nats.Connect(ctx, cfg, env.log)
	if err != nil {
		return nil, err
	}
	env.q.closing(conn.Close)
	return &natsShelf{conn: conn, bucket: bucket, like: cfg.List()[0].Stream}, nil
}

func (n *natsShelf) open(ctx context.Context, name string, _ int) (job.State, error) {
	return jobstate.Open(ctx, n.conn, n.bucket, name, jobstate.Options{Like: n.like})
}

func (n *natsShelf) names(ctx context.Context) ([]string, error) {
	return jobstate.ListJobs(ctx, n.conn, n.bucket)
}
