package cmd

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/worker"
)

// jobOptions are the flags that replay and backfill share.
type jobOptions struct {
	config string

	route   string
	match   worker.Match
	flusher string
	toQueue string

	name  string
	state string
	index int
	of    int

	open     int
	rate     rate
	pauseLag int64
	giveUp   time.Duration
	listen   string

	dryRun bool
	report string
	asJSON bool
}

const jobExits = `
Exit codes: 0 all of it was delivered; 64 usage, configuration, or bounds that
cannot be; 65 the job ended and something was not delivered (dead letters, damaged
or unreadable input, what retention took): the report says what; 69 queue, companion
or state not usable at start; 70 a defect of flushline; 75 interrupted, given up, or
the shard is held by another process: start it again; 130 interrupted a third time.`

func (o *jobOptions) flags(p *program, c *cobra.Command) {
	configFlag(p, c, &o.config)
	f := c.Flags()
	f.StringVar(&o.route, "route", "", "only keys that go this `ROUTE`")
	f.StringVar(&o.match.Project, "project", "", "only these projects (a name or a `GLOB`)")
	f.StringVar(&o.match.Logstore, "logstore", "", "only these logstores (a name or a `GLOB`)")
	f.StringVar(&o.match.Config, "config-name", "", "only these configs (a name or a `GLOB`)")
	f.StringVar(&o.flusher, "flusher", "", "deliver to this flusher only: `NAME`, or ROUTE/NAME")
	f.StringVar(&o.toQueue, "to-queue", "", "put the LogGroups into the queue that configuration `FILE` reads, instead of flushing them")
	f.StringVar(&o.name, "job", "", "`NAME` under which the job is kept, so that a later start goes on where this one ended")
	f.StringVar(&o.state, "state", "", "`DIR` to keep the job in (default: what `jobs` says in the configuration, else beside the source)")
	f.IntVar(&o.index, "index", 0, "which shard this process works at, from 0 (or JOB_COMPLETION_INDEX)")
	f.IntVar(&o.of, "of", 1, "how many shards the job has")
	f.IntVar(&o.open, "parallel", 16, "how many partitions, ranges or files are read at a time")
	f.Var(&o.rate, "rate", "at most this much: 20MiB is bytes a second, 500/s groups a second")
	f.DurationVar(&o.giveUp, "give-up", 0, "end with 75 when a destination takes nothing for `LONG` (0: never)")
	f.StringVar(&o.listen, "listen", "", "serve status, metrics and control at `ADDRESS` (default: nowhere)")
	f.BoolVar(&o.dryRun, "dry-run", false, "read everything and say what there is; deliver nothing, keep nothing")
	f.StringVar(&o.report, "report", "", "write the report as JSON to `FILE`, too")
	f.BoolVar(&o.asJSON, "json", false, "print the report as JSON")
	c.MarkFlagsMutuallyExclusive("flusher", "to-queue")
	_ = c.MarkFlagFilename("to-queue", "yaml", "yml", "json") // fails only for a flag that is not there
	_ = c.MarkFlagDirname("state")                            // as above
}

var jobName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,48}$`)

// check completes the flags and refuses what cannot be meant.
func (o *jobOptions) check(p *program, c *cobra.Command) error {
	if v, ok := p.env("JOB_COMPLETION_INDEX"); ok && v != "" && !c.Flags().Changed("index") {
		n, err := strconv.Atoi(v)
		if err != nil {
			return usage(fmt.Errorf("JOB_COMPLETION_INDEX is %q, which is no number: give --index", v))
		}
		o.index = n
	}
	switch {
	case o.of < 1:
		return usage(errors.New("--of must be at least 1"))
	case o.index < 0 || o.index >= o.of:
		return usage(fmt.Errorf("--index is %d: with --of %d it must be 0 to %d", o.index, o.of, o.of-1))
	case o.name != "" && !jobName.MatchString(o.name):
		return usage(fmt.Errorf("--job %q: a name has at most 48 of A-Z, a-z, 0-9, _ and -", o.name))
	case o.of > 1 && o.name == "" && !o.dryRun:
		return usage(errors.New("--of needs --job: shards share the plan of a job, or they would overlap"))
	case o.state != "" && o.name == "":
		return usage(errors.New("--state needs --job"))
	case o.open < 1:
		return usage(errors.New("--parallel must be at least 1"))
	case o.giveUp < 0 || o.pauseLag < 0:
		return usage(errors.New("--give-up and --pause-when-lag-above must not be negative"))
	}
	return nil
}

// only is what the flags select.
func (o *jobOptions) only() worker.Selection {
	return worker.Selection{Match: o.match, Route: o.route, Flusher: o.flusher}
}

// budget is what the process may hold.
func (o *jobOptions) budget(cfg *configs.Config) int64 {
	return int64(cfg.Limits.InFlight + cfg.Limits.Work)
}
