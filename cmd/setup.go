package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue"
)

type setupOptions struct {
	config     string
	update     bool
	dryRun     bool
	replicas   int
	maxAge     time.Duration
	maxBytes   option.Bytes // NATS
	partitions int          // Kafka
	offsets    bool         // Kafka
}

func newSetup(p *program) *cobra.Command {
	var o setupOptions
	c := &cobra.Command{
		Use:   "setup",
		Short: "Make what a configuration needs at the broker: stream or topics, and where dead letters go",
		Long: `Makes what is missing, and leaves alone what is right: on NATS stream, consumer and
dead letter stream, on Kafka topics and dead letter topics. What exists with
settings that lose or stall data is refused; --update changes it where the broker
allows that and it is ours.

A stream that is made keeps every message, acknowledged ones too, for others to
read; a topic as long as the brokers choose. --max-age deletes what is older, flushed
or not: choose more than the longest pause you want to survive.

--offsets commits where a Kafka group begins (source.kafka.start), so that its lag
can be read, and pods be scaled from zero by it, before the first one joins.

Exit codes: 0 all is there and right; 64 usage or configuration; 69 the broker
cannot be reached, or something could not be made or is refused.`,
		Example: `  flushline setup -c flushline.yaml --dry-run
  flushline setup -c nats.yaml --replicas 3 --max-age 72h --max-bytes 500GiB
  flushline setup -c kafka.yaml --replicas 3 --partitions 12 --max-age 72h --offsets`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return p.setup(ctx, &o)
		},
	}
	configFlag(p, c, &o.config)
	f := c.Flags()
	f.BoolVar(&o.update, "update", false, "change what exists with settings that lose or stall data")
	f.BoolVar(&o.dryRun, "dry-run", false, "print the plan and change nothing")
	f.IntVar(&o.replicas, "replicas", 0, "replicas of streams and topics that are made (0: 1 on NATS, as the brokers choose on Kafka)")
	f.DurationVar(&o.maxAge, "max-age", 0, "how `LONG` a stream or topic that is made keeps a message, flushed or not (0: for ever on NATS, as the brokers choose on Kafka)")
	f.TextVar(&o.maxBytes, "max-bytes", option.Bytes(0), "`SIZE` at which a NATS stream that is made refuses publishers (0: no limit)")
	f.IntVar(&o.partitions, "partitions", 0, "partitions of Kafka topics that are made (0: as the brokers choose)")
	f.BoolVar(&o.offsets, "offsets", false, "commit where a Kafka group begins that has no offsets yet")
	return c
}

func (p *program) setup(ctx context.Context, o *setupOptions) error {
	if o.maxBytes < 0 || o.maxAge < 0 || o.replicas < 0 || o.partitions < 0 {
		return usage(errors.New("--max-bytes, --max-age, --replicas and --partitions must not be negative"))
	}
	cfg, err := p.loadShown(o.config)
	if err != nil {
		return err
	}
	todo, err := brokerOf(cfg).plan(ctx, o, p.warnings())
	if err != nil {
		return atBroker(err, o.config)
	}
	defer todo.close()
	if todo.needless != "" {
		fmt.Fprintf(p.stdout, "nothing to set up: %s\n", todo.needless)
		return nil
	}
	return p.carryOut(ctx, todo, o)
}

// plan is what setup has to do at a broker.
type plan struct {
	steps    []queue.Step
	needless string // why this queue needs no setup
	remark   string // what to know about what is made
	close    func()
}

// carryOut prints each step and, unless it is a dry run, applies it. It goes on
// after a failure, so that one run shows everything.
func (p *program) carryOut(ctx context.Context, todo *plan, o *setupOptions) error {
	var errs []error
	changed := 0
	for i := range todo.steps {
		s := &todo.steps[i]
		fmt.Fprintln(p.stdout, named(s.String(), o.config))
		switch {
		case s.Action == queue.Refuse:
			errs = append(errs, fmt.Errorf("%s %s is refused", s.What, s.Name))
		case s.Action != queue.OK:
			changed++
			if !o.dryRun {
				errs = append(errs, s.Apply(ctx))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return unavailable(err)
	}
	if todo.remark != "" {
		fmt.Fprintln(p.stdout, "\n"+todo.remark)
	}
	switch {
	case o.dryRun && changed > 0:
		fmt.Fprintf(p.stdout, "\n%d to do, nothing was changed (--dry-run)\n", changed)
	case changed == 0:
		fmt.Fprintln(p.stdout, "\neverything is there")
	default:
		fmt.Fprintf(p.stdout, "\ndone; next: flushline run -c %s\n", o.config)
	}
	return nil
}
