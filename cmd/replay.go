package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/queue/job"
)

func newReplay(p *program) *cobra.Command {
	var o jobOptions
	var from, to string
	c := &cobra.Command{
		Use:   "replay",
		Short: "Deliver a range of the queue once more, as a job that ends",
		Long: `Reads a range of the source again and delivers it through the same routes, to one of
its flushers, or into a queue. The live group or consumer is not touched: its offsets,
its members and its messages stay as they are. The end is fixed at the start.

Bounds: earliest, end, committed (where the live workers are), now, today, yesterday (UTC
midnights), a time as RFC 3339, an age (-2h), an offset or sequence for every partition or stream, or offsets by
partition (0:100,1:250 or logs[0]:100), and then only those are read. --from is
inclusive, --to is not.

With --job the job is kept beside the source: started again it goes on where it ended,
also after a kill, and a finished one does nothing. --index and --of share a job among
processes.
` + jobExits,
		Example: `  flushline replay -c flushline.yaml --from -2h --to now --dry-run
  flushline replay -c flushline.yaml --from 2026-01-02T15:00:00Z --to end --flusher es --rate 20MiB
  flushline replay -c flushline.yaml --from committed --to end --route shop --job monday`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				return usage(errors.New("--from and --to are needed: a replay has both ends, such as --from -2h --to end"))
			}
			if err := o.check(p, c); err != nil {
				return err
			}
			r := &replay{jobOptions: &o, from: from, to: to}
			return p.runJob(c.Context(), &o, r)
		},
	}
	o.flags(p, c)
	f := c.Flags()
	f.StringVar(&from, "from", "", "`BOUND` where the range begins")
	f.StringVar(&to, "to", "", "`BOUND` where the range ends")
	f.Int64Var(&o.pauseLag, "pause-when-lag-above", 0, "hold back while the live workers have more than `N` messages to do (0: never)")
	return c
}

// replay is what a job of `replay` reads.
type replay struct {
	*jobOptions
	from, to string
}

func (r *replay) command() string { return "replay" }

func (r *replay) asked() map[string]any { return map[string]any{"from": r.from, "to": r.to} }

func (r *replay) open(ctx context.Context, env *jobEnv) (past, error) {
	if env.cfg.Source.File != nil {
		return nil, usage(errors.New("the source is files, which `flushline backfill` reads"))
	}
	return openPast(ctx, env)
}

func (r *replay) plan(ctx context.Context, from past) (*job.Plan, error) {
	now := time.Now()
	begin, err := job.ParseBound(r.from, now)
	if err != nil {
		return nil, usage(fmt.Errorf("--from: %w", err))
	}
	end, err := job.ParseBound(r.to, now)
	if err != nil {
		return nil, usage(fmt.Errorf("--to: %w", err))
	}
	queue, ok := from.(rangePast)
	if !ok {
		return nil, usage(errors.New("this source has no ranges"))
	}
	return queue.rangeOf(ctx, begin, end, r.of)
}

// goOn has nothing to compare: what was planned is read, whatever came since.
func (r *replay) goOn(context.Context, past, job.Slices, func(string)) error { return nil }
