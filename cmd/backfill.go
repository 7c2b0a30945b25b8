package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/queue/job"
)

func newBackfill(p *program) *cobra.Command {
	var o jobOptions
	c := &cobra.Command{
		Use:   "backfill PATH...",
		Short: "Deliver what files hold, as a job that ends",
		Long: `Reads files, directories, globs and S3 prefixes (s3://bucket/prefix) of JSON lines,
LogGroup frames, LogGroupLists or text, each plain or compressed with gzip or zstd, and
delivers them through the routes of the configuration, whose source is a file block.
What the file flusher wrote is read as well.

With --job the job is kept: its first start notes every file, later ones read only
these, say which are new, and refuse to go on when one has changed. Started again it
goes on where it ended, also after a kill, in compressed files too. --index and --of
share a job among processes.

What is damaged is reported with file and byte offset and dead-lettered; what is good
before and behind it is delivered.
` + jobExits,
		Example: `  flushline backfill -c backfill.yaml ./archive --dry-run
  flushline backfill -c backfill.yaml './archive/**/*.json.zst' --job january --give-up 30m
  flushline backfill -c backfill.yaml s3://logs/2026/01/ --job january --index 0 --of 4`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("which files? name a PATH")
			}
			return nil
		},
		RunE: func(c *cobra.Command, paths []string) error {
			if err := o.check(p, c); err != nil {
				return err
			}
			return p.runJob(c.Context(), &o, &backfill{jobOptions: &o, paths: paths})
		},
	}
	o.flags(p, c)
	return c
}

// backfill is what a job of `backfill` reads.
type backfill struct {
	*jobOptions
	paths []string
}

func (b *backfill) command() string { return "backfill" }

func (b *backfill) asked() map[string]any { return map[string]any{"paths": b.paths} }

func (b *backfill) open(ctx context.Context, env *jobEnv) (past, error) {
	if env.cfg.Source.File == nil {
		return nil, usage(errors.New("the source is no file block: `flushline backfill` reads files; a range of a queue is for `flushline replay`"))
	}
	return openPast(ctx, env)
}

func (b *backfill) plan(ctx context.Context, from past) (*job.Plan, error) {
	files, ok := from.(pathPast)
	if !ok {
		return nil, usage(errors.New("this source has no paths"))
	}
	return files.find(ctx, b.paths, b.of)
}

func (b *backfill) goOn(ctx context.Context, from past, planned job.Slices, say func(string)) error {
	return from.(pathPast).compare(ctx, b.paths, planned, say)
}
