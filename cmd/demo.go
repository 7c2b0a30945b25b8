package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap/zapcore"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/nats/embedded"
	"github.com/flushline/flushline/worker"
)

type demoOptions struct {
	config  string
	last    time.Duration
	broken  bool
	rate    rate
	admin   string
	keep    bool
	verbose bool
}

func newDemo(p *program) *cobra.Command {
	o := demoOptions{rate: rate{groups: 200, text: "200/s"}}
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work: a queue, traffic and a worker in one process, for ten seconds",
		Long: `Starts a queue in a temporary directory, publishes logs that look real, and runs a
worker that writes them to files in that directory. A line a second shows what
moves. With -c FILE the routes and flushers are those of the file, whatever its
source is: logs really go to its destinations. With --break one destination fails for
a third of the time: what waits for it is parked while the others go on, and delivered
when it is back. It ends by itself and fails unless
everything that was produced was flushed and acknowledged.

Exit codes: 0 produced = flushed = acknowledged; 64 usage or configuration; 65 not
everything arrived; 69 the queue could not be started.`,
		Example: `  flushline demo
  flushline demo --for 30s --break
  flushline demo -c flushline.yaml --rate 20/s`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.demo(c.Context(), &o) },
	}
	configFlag(p, c, &o.config)
	f := c.Flags()
	f.DurationVar(&o.last, "for", 10*time.Second, "how `LONG` to publish")
	f.BoolVar(&o.broken, "break", false, "make one destination fail for a while: see what it costs the others, what is parked, and the recovery")
	f.Var(&o.rate, "rate", "how much to publish: 500/s groups a second, 1MiB bytes a second")
	f.StringVar(&o.admin, "admin", "127.0.0.1:0", "`ADDRESS` of the admin listener")
	f.BoolVar(&o.keep, "keep", false, "leave the temporary directory behind")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "show the worker's log")
	return c
}

// demoConfig is the routes of a demo without -c.
const demoConfig = `
source:
  embedded: {}
routes:
  - name: shop
    match: {project: shop}
    when_blocked: park
    flushers:
      - {type: file, name: archive, root: %[1]q, path: "shop/{logstore}/{config}.jsonl"}
  - name: everything-else
    when_blocked: park
    park_after: 1s          # soon to be seen
    flushers:
      - {type: file, name: archive, root: %[1]q, path: "{project}/{logstore}/{config}.jsonl"}
`

func (p *program) demo(ctx context.Context, o *demoOptions) (err error) {
	if o.last <= 0 {
		return usage(errors.New("--for must be above zero"))
	}
	dir, err := os.MkdirTemp("", "flushline-demo-")
	if err != nil {
		return unavailable(fmt.Errorf("couldn't make a temporary directory: %w", err))
	}
	if !o.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	cfg, err := p.demoSetting(o, dir)
	if err != nil {
		return err
	}
	level := zapcore.WarnLevel
	if o.verbose {
		level = zapcore.InfoLevel
	} else if o.broken {
		level = zapcore.ErrorLevel // what it breaks it tells itself
	}
	boundMemory(p.env, memoryBudget(cfg))
	producing, endProducing := context.WithCancel(ctx)
	defer endProducing()
	s := &show{
		out: p.stdout, cfg: cfg, last: o.last, rate: o.rate, dir: dir,
		made: newTraffic(1, keysFor(cfg.Routes)), producing: producing,
	}
	if o.broken {
		s.breaker = new(breaker)
	}
	life := service{cfg: cfg, log: newLogger(p.stderr, level, true), beside: s, endBeside: endProducing}
	if err := life.run(ctx); err != nil {
		return err
	}
	return s.end(o)
}

// demoSetting is the file's configuration, or the demo's own, on a queue of its
// own.
func (p *program) demoSetting(o *demoOptions, dir string) (*configs.Config, error) {
	cfg, err := p.demoRoutes(o, dir)
	if err != nil {
		return nil, err
	}
	queue := embedded.DefaultConfig()
	queue.Dir, queue.Listen, queue.Durable = filepath.Join(dir, "queue"), "127.0.0.1:0", "demo"
	queue.Strict = cfg.Strict()
	cfg.Source = configs.Source{Embedded: &queue, Key: cfg.Source.Key, Decode: cfg.Source.Decode}
	cfg.DeadLetter.None, cfg.DeadLetter.File = false, ""
	cfg.Admin = configs.Admin{Listen: o.admin}
	cfg.Metrics.Listen = ""
	return cfg, nil
}

func (p *program) demoRoutes(o *demoOptions, dir string) (*configs.Config, error) {
	if o.config != "" {
		return p.loadShown(o.config)
	}
	archive := filepath.Join(dir, "archive")
	if err := os.Mkdir(archive, 0o750); err != nil {
		return nil, unavailable(fmt.Errorf("couldn't make the directory for files: %w", err))
	}
	cfg, report := configs.Parse("demo", fmt.Appendf(nil, demoConfig, archive), p.kinds)
	if cfg == nil {
		return nil, &coded{exitDefect, fmt.Errorf("the demo's own configuration is wrong: %w", report.Err())}
	}
	return cfg, nil
}

// keysFor is the demoKeys that match a route as they are, for each route; where
// none does, all of them fitted into its patterns.
func keysFor(routes []configs.Route) []protocol.Key {
	const most = 24
	var keys []protocol.Key
	add := func(key protocol.Key) {
		if len(keys) < most && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for i := range routes {
		matched := false
		for _, d := range demoKeys {
			if fitKey(routes[i].Match, d) == d {
				matched = true
				add(d)
			}
		}
		if matched {
			continue
		}
		for _, d := range demoKeys {
			add(fitKey(routes[i].Match, d))
		}
	}
	return keys
}

func fitKey(m configs.Match, d protocol.Key) protocol.Key {
	return protocol.Key{Project: fit(m.Project, d.Project), Logstore: fit(m.Logstore, d.Logstore), Config: fit(m.Config, d.Config)}
}

// fit makes a text that a pattern matches.
func fit(pattern, word string) string {
	if pattern == "" {
		return word
	}
	return strings.NewReplacer("*", word, "?", "x").Replace(pattern)
}

// flushedGroups is how many groups every flusher of their route has flushed: of
// each route, what its slowest flusher has.
func flushedGroups(st *worker.Status) int64 {
	slowest := map[string]int64{}
	for i := range st.Flushers {
		f := &st.Flushers[i]
		if n, seen := slowest[f.Route]; !seen || f.Counts.Flushed < n {
			slowest[f.Route] = f.Counts.Flushed
		}
	}
	var sum int64
	for _, n := range slowest {
		sum += n
	}
	return sum
}
