package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue/job"
)

// planned finds the job's plan, or makes it and lets the first of several starts win,
// and claims the shard. A job that is not kept is planned into a directory that goes
// when it ends: a plan may be larger than memory.
func (j *running) planned(ctx context.Context) error {
	kept := j.opt.name != "" && !j.opt.dryRun
	state, err := j.openState(ctx, kept)
	if err != nil {
		return err
	}
	j.q.closing(func() { _ = state.Close() }) // each value is kept already
	asked, err := json.Marshal(j.asked())
	if err != nil {
		return err
	}
	for j.manifest == nil {
		value, err := state.Manifest(ctx)
		if err != nil {
			return err
		}
		if value == nil {
			if err := j.publish(ctx, state, string(asked)); err != nil && !errors.Is(err, job.ErrBegun) {
				return err
			}
			continue
		}
		if j.manifest, err = job.ParseManifest(value); err != nil {
			return usage(fmt.Errorf("%w; remove it with `flushline job rm %s -c FILE`, or choose another --job", err, j.opt.name))
		}
	}
	if j.manifest.Asked != string(asked) {
		return usage(fmt.Errorf("job %s in %s was begun with %s, and this start asks for %s: give the same flags, or another --job",
			j.opt.name, state.Describe(), j.manifest.Asked, asked))
	}
	j.slices = func(ctx context.Context) job.Slices { return job.SlicesOf(ctx, state, j.manifest) }
	if !kept {
		return nil
	}
	if err := j.kind.goOn(ctx, j.from, j.slices(ctx), func(what string) { j.log.Warn(what) }); err != nil {
		return err
	}
	j.lease, err = state.Claim(ctx, j.opt.index)
	if err == nil {
		failpoint.Hit(failpoint.ClaimAfter)
	}
	var held *job.HeldError
	if errors.As(err, &held) {
		return &coded{exitTryAgain, fmt.Errorf("couldn't work at job %s: %w", j.opt.name, err)}
	}
	return err
}

func (j *running) openState(ctx context.Context, kept bool) (job.State, error) {
	if kept {
		return openState(ctx, j.jobEnv, j.opt.of)
	}
	dir, err := os.MkdirTemp("", "flushline-plan-*")
	if err != nil {
		return nil, fmt.Errorf("couldn't make a directory for the plan: %w", err)
	}
	j.q.closing(func() { _ = os.RemoveAll(dir) }) // what stays is small, and of the system's to remove
	return job.OpenDir(dir, "once")
}

// asked is what makes two starts the same job.
func (j *running) asked() map[string]any {
	asked := j.kind.asked()
	asked["command"], asked["of"] = j.kind.command(), j.opt.of
	if files := j.cfg.Source.File; files != nil {
		asked["format"] = files.Format // of it depends where messages begin
	}
	for name, v := range map[string]string{
		"route": j.opt.route, "project": j.opt.match.Project, "logstore": j.opt.match.Logstore, "config-name": j.opt.match.Config,
		"flusher": j.opt.flusher, "to-queue": j.opt.toQueue,
	} {
		if v != "" {
			asked[name] = v
		}
	}
	return asked
}

func (j *running) publish(ctx context.Context, state job.State, asked string) error {
	plan, err := j.kind.plan(ctx, j.from)
	if err != nil {
		return impossible(err)
	}
	pieces, sizes := job.Pieces(plan.Slices, j.opt.of)
	return impossible(state.Publish(ctx, pieces, func(n int) ([]byte, error) {
		failpoint.Hit(failpoint.JobPublish)
		return json.Marshal(&job.Manifest{
			Version: job.ManifestVersion, Job: j.opt.name, Created: time.Now().UTC(), Kind: plan.Kind, Range: plan.Range,
			Asked: asked, Pieces: n, Shards: sizes(), Lost: plan.Lost,
		})
	}))
}

// impossible makes a usage error of what cannot be, however often it is asked for.
func impossible(err error) error {
	if job.IsImpossible(err) {
		return usage(err)
	}
	return err
}
