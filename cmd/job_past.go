package cmd

import (
	"context"
	"errors"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// past is what lies in a source, read beside those that consume it.
type past interface {
	input() job.Input

	// letters is the dead letter queue beside the source.
	letters(ctx context.Context) (queue.Sink, error)
}

// rangePast has positions.
type rangePast interface {
	past
	rangeOf(ctx context.Context, from, to job.Bound, of int) (*job.Plan, error)

	// lag is how many messages the live deployment has to do.
	lag(ctx context.Context) (int64, error)
}

// pathPast has files.
type pathPast interface {
	past
	find(ctx context.Context, paths []string, of int) (*job.Plan, error)

	// compare fails if a planned file is not what it was, and says what is new.
	compare(ctx context.Context, paths []string, planned job.Slices, say func(string)) error
}

// openPast connects to the source of a configuration.
func openPast(ctx context.Context, env *jobEnv) (past, error) {
	switch src := &env.cfg.Source; {
	case src.Kafka != nil:
		return openKafkaPast(ctx, env)
	case src.File != nil:
		return openFilePast(env)
	default:
		return openNATSPast(ctx, env)
	}
}

// errNoState is for sources that have no place beside them.
var errNoState = usage(errors.New("where is the job to be kept? there is no place for it beside files: give --state DIR, or write jobs: {dir: DIR}, {nats: {url: ...}} or {kafka: {...}} into the configuration"))

// shelf is a place where jobs are kept.
type shelf interface {
	open(ctx context.Context, name string, of int) (job.State, error)
	names(ctx context.Context) ([]string, error)
}

// dirShelf is a directory.
type dirShelf string

func (d dirShelf) open(_ context.Context, name string, _ int) (job.State, error) {
	return job.OpenDir(string(d), name)
}

func (d dirShelf) names(context.Context) ([]string, error) { return job.DirJobs(string(d)) }

// shelfOf is the directory of --state, what `jobs` in the configuration says, or
// beside the source.
func shelfOf(ctx context.Context, env *jobEnv) (shelf, error) {
	src := &env.cfg.Source
	switch jobs := &env.cfg.Jobs; {
	case env.opt.state != "":
		return dirShelf(env.opt.state), nil
	case jobs.Dir != "":
		return dirShelf(jobs.Dir), nil
	case jobs.NATS != nil:
		return natsShelfOf(ctx, env, &jobs.NATS.Config, jobs.NATS.Bucket)
	case jobs.Kafka != nil:
		return kafkaShelfOf(env, &jobs.Kafka.Config)
	case src.Kafka != nil:
		return kafkaShelfOf(env, src.Kafka)
	case src.File != nil:
		return nil, errNoState
	}
	return natsShelfOf(ctx, env, natsClientOf(src), "")
}

// openState opens the job of --job; of is how many shards it has, 0: as it was
// begun with.
func openState(ctx context.Context, env *jobEnv, of int) (job.State, error) {
	s, err := shelfOf(ctx, env)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, env.opt.name, of)
}

func keptJobs(ctx context.Context, env *jobEnv) ([]string, error) {
	s, err := shelfOf(ctx, env)
	if err != nil {
		return nil, err
	}
	return s.names(ctx)
}
