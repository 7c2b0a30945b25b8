package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/queue/job"
)

func newJob(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "job",
		Short: "List, show or remove the jobs that replay and backfill keep",
	}
	c.AddCommand(newJobList(p), newJobShow(p), newJobRemove(p))
	return c
}

// keptFlags say where jobs are kept.
func (o *jobOptions) keptFlags(p *program, c *cobra.Command) {
	configFlag(p, c, &o.config)
	c.Flags().StringVar(&o.state, "state", "", "`DIR` that jobs are kept in (default: what `jobs` says in the configuration, else beside the source)")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	_ = c.MarkFlagDirname("state") // fails only for a flag that is not there
}

func newJobList(p *program) *cobra.Command {
	var o jobOptions
	c := &cobra.Command{
		Use: "ls", Short: "Name the jobs that are kept", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return p.kept(ctx, &o, func(env *jobEnv) error { return env.list(ctx) })
		},
	}
	o.keptFlags(p, c)
	return c
}

func newJobShow(p *program) *cobra.Command {
	var o jobOptions
	c := &cobra.Command{
		Use: "show NAME", Short: "Show what a job is to do and how far each shard is", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			o.name = args[0]
			return p.kept(ctx, &o, func(env *jobEnv) error { return env.showJob(ctx) })
		},
	}
	o.keptFlags(p, c)
	return c
}

func newJobRemove(p *program) *cobra.Command {
	var o jobOptions
	c := &cobra.Command{
		Use: "rm NAME", Short: "Forget a job; refused while a process works at it", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			o.name = args[0]
			return p.kept(ctx, &o, func(env *jobEnv) error { return env.removeJob(ctx) })
		},
	}
	o.keptFlags(p, c)
	return c
}

// kept opens what is needed to look after jobs.
func (p *program) kept(ctx context.Context, o *jobOptions, do func(*jobEnv) error) error {
	if o.name != "" && !jobName.MatchString(o.name) {
		return usage(fmt.Errorf("%q is no job's name", o.name))
	}
	cfg, err := p.loadShown(o.config)
	if err != nil {
		return err
	}
	env := &jobEnv{p: p, opt: o, cfg: cfg, log: p.warnings()}
	defer env.q.close()
	if err := do(env); err != nil {
		if ctx.Err() != nil {
			return &coded{exitTryAgain, errors.New("interrupted")}
		}
		return atBroker(err, cfg.File)
	}
	return nil
}

// manifestOf opens a job that has begun.
func (e *jobEnv) manifestOf(ctx context.Context) (job.State, *job.Manifest, error) {
	state, err := openState(ctx, e, 0)
	if err != nil {
		return nil, nil, err
	}
	e.q.closing(func() { _ = state.Close() }) // nothing was written
	value, err := state.Manifest(ctx)
	if err != nil {
		return nil, nil, err
	}
	if value == nil {
		return nil, nil, usage(fmt.Errorf("there is no job %s in %s; `flushline job ls -c FILE` names those that are", e.opt.name, state.Describe()))
	}
	m, err := job.ParseManifest(value)
	return state, m, err
}

func (e *jobEnv) list(ctx context.Context) error {
	names, err := keptJobs(ctx, e)
	if err != nil {
		return err
	}
	if e.opt.asJSON {
		return json.NewEncoder(e.p.stdout).Encode(names)
	}
	for _, name := range names {
		fmt.Fprintln(e.p.stdout, name)
	}
	return nil
}

func (e *jobEnv) showJob(ctx context.Context) error {
	state, m, err := e.manifestOf(ctx)
	if err != nil {
		return err
	}
	reports := make([]job.Report, len(m.Shards))
	for i := range m.Shards {
		value, err := state.Checkpoint(ctx, i)
		if err != nil {
			return err
		}
		if reports[i], err = job.ReportOf(m, i, value); err != nil {
			return err
		}
	}
	if e.opt.asJSON {
		b, err := json.MarshalIndent(map[string]any{"manifest": m, "shards": reports}, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.p.stdout, "%s\n", b)
		return err
	}
	fmt.Fprintf(e.p.stdout, "job %s in %s, begun %s\n  %s\n  asked for %s\n", m.Job, state.Describe(), m.Created.Format("2006-01-02 15:04:05 MST"), m.Range, m.Asked)
	t := tabwriter.NewWriter(e.p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SHARD\tSTATE\tSLICES\tMESSAGES\tSTARTS\tMISSING")
	for i := range reports {
		r := &reports[i]
		what := "not begun"
		switch {
		case r.Finished:
			what = "finished"
		case r.Starts > 0:
			what = "begun"
		}
		fmt.Fprintf(t, "%d\t%s\t%s of %s\t%s\t%s\t%d\n", i, what, number(r.Slices), number(r.Planned.Slices), number(r.Messages), number(r.Starts), len(r.Missing()))
	}
	return t.Flush()
}

func (e *jobEnv) removeJob(ctx context.Context) error {
	state, _, err := e.manifestOf(ctx)
	if err != nil {
		return err
	}
	if err := state.Remove(ctx); err != nil {
		var held *job.HeldError
		if errors.As(err, &held) {
			return &coded{exitTryAgain, fmt.Errorf("couldn't remove job %s: %w", e.opt.name, err)}
		}
		return err
	}
	fmt.Fprintf(e.p.stdout, "job %s is forgotten; what it delivered stays\n", e.opt.name)
	return nil
}
