package cmd

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/option"
)

func newCheck(p *program) *cobra.Command {
	var config, example string
	var connect bool
	var patience time.Duration
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say everything that is wrong with a configuration, and what it means",
		Long: `Reads a configuration, prints every error and warning with its line, and what the
routes come to. Nothing is consumed, created or changed. With --connect it also
asks NATS for stream, consumer and companions, or Kafka for brokers, topics, group,
lag, rights and companions, and each destination whether it is ready.

Exit codes: 0 right; 64 errors in the configuration; 69 with --connect, broker or
a destination not usable.`,
		Example: `  flushline check flushline.yaml
  flushline check -c flushline.yaml --connect
  flushline check --example nats > flushline.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("one FILE at a time, got %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if example != "" {
				return p.example(example)
			}
			if len(args) == 1 {
				config = args[0]
			}
			ctx, stop := interruptible(c.Context())
			defer stop()
			return p.check(ctx, config, connect, patience)
		},
	}
	configFlag(p, c, &config)
	c.Flags().BoolVar(&connect, "connect", false, "ask the broker and each destination, too")
	c.Flags().StringVar(&example, "example", "", "print a ready-made configuration to start from: `NAME` is one of "+strings.Join(exampleNames(), ", "))
	c.Flags().DurationVar(&patience, "patience", 10*time.Second, "with --connect, wait this `LONG` for each answer")
	return c
}

func (p *program) check(ctx context.Context, path string, connect bool, patience time.Duration) error {
	if path == "" {
		return usage(errNoConfig)
	}
	cfg, report := configs.Load(path, p.kinds)
	fmt.Fprint(p.stdout, report.String())
	if cfg == nil {
		return shown(exitUsage)
	}
	if err := printRoutes(p.stdout, cfg); err != nil {
		return err
	}
	if !connect {
		fmt.Fprintf(p.stdout, "\n%s is right\n", path)
		return nil
	}
	fmt.Fprintln(p.stdout)
	v := &visit{cfg: cfg, out: p.stdout, patience: patience}
	brokerOf(cfg).ask(ctx, v)
	v.destinations(ctx)
	if v.failed > 0 {
		return shown(exitUnavailable)
	}
	return nil
}

func (p *program) example(name string) error {
	for _, file := range configs.Examples() {
		if file == name || strings.TrimSuffix(file, filepath.Ext(file)) == name {
			text, err := configs.Example(file)
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(text)
			return err
		}
	}
	hint := ""
	if near := option.Suggest(name, exampleNames()); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return usage(fmt.Errorf("there is no example %q%s: they are %s", name, hint, strings.Join(exampleNames(), ", ")))
}

// exampleNames are the ready-made files without their endings.
func exampleNames() []string {
	names := configs.Examples()
	for i, file := range names {
		names[i] = strings.TrimSuffix(file, filepath.Ext(file))
	}
	return names
}

// printRoutes shows what the configuration comes to with its defaults.
func printRoutes(w io.Writer, cfg *configs.Config) error {
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	place, read := brokerOf(cfg).describe()
	t.row("SOURCE", "READS", "DEAD LETTERS", "PARKED", "HELD, WORK", "WINDOW", "DRAIN")
	t.row(place, read, deadLetters(cfg), parkedPlace(cfg),
		cfg.Limits.InFlight.String()+", "+cfg.Limits.Work.String(), number(int64(cfg.Limits.Window)), option.FormatDuration(cfg.Drain.Timeout))
	t.head("ROUTE", "PROJECT", "LOGSTORE", "CONFIG", "FLUSHER", "TYPE", "BATCH", "RETRY", "FLUSH TIMEOUT", "WHEN BLOCKED", "IDEMPOTENCE")
	for i := range cfg.Routes {
		r := &cfg.Routes[i]
		for j := range r.Flushers {
			e := &r.Flushers[j]
			t.row(r.Name, r.Match.Project, r.Match.Logstore, r.Match.Config, e.Name, e.Kind.Name, describeBatch(&e.Batch),
				option.FormatDuration(e.Retry.Initial)+" to "+option.FormatDuration(e.Retry.Max), option.FormatDuration(e.FlushTimeout), whenBlocked(r), bounded(e.Kind.Idempotence.String(), &e.Kind))
		}
	}
	return t.w.Flush()
}

func deadLetters(cfg *configs.Config) string {
	switch {
	case cfg.DeadLetter.None:
		return "none: the strand stops"
	case cfg.DeadLetter.File != "":
		return "files in " + cfg.DeadLetter.File
	}
	return "beside the source"
}

func parkedPlace(cfg *configs.Config) string {
	if cfg.Parks() {
		return "beside the source"
	}
	return "-"
}

func whenBlocked(r *configs.Route) string {
	switch {
	case r.Parks():
		return "park after " + option.FormatDuration(r.ParkAfter)
	case r.Strict:
		return "wait, in strict order"
	}
	return r.WhenBlocked
}

func describeBatch(b *configs.Batch) string {
	text := ""
	add := func(s string) {
		if text != "" {
			text += " or "
		}
		text += s
	}
	if b.Groups > 0 {
		add(number(int64(b.Groups)) + " groups")
	}
	if b.Bytes > 0 {
		add(b.Bytes.String())
	}
	if b.Wait > 0 {
		add(option.FormatDuration(b.Wait))
	}
	if text == "" {
		return "natural"
	}
	return text
}
