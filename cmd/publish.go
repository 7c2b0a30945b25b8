package cmd

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

type publishOptions struct {
	config   string
	url      string
	subject  string
	brokers  []string
	topic    string
	key      protocol.Key
	format   string
	lines    int
	compress string
	rate     rate
	count    int64
	sample   bool
}

func newPublish(p *program) *cobra.Command {
	var o publishOptions
	c := &cobra.Command{
		Use:   "publish [FILE...]",
		Short: "Put lines, JSON or LogGroups from files or stdin into the queue",
		Long: `Reads files (or stdin) and puts their logs as LogGroups into the queue, with the
key in the x-log-* headers and in the NATS subject or the Kafka message key. A
message counts as published only when the stream, or all replicas of the partition
that are in sync, have confirmed it. Groups too large for a message are split; gzip
and zstd files are decompressed.

Formats: lines (a log a line), json (what a worker reads: each line a log or a
LogGroup as collectors write them, or an array of these), frames (what the file
flusher writes with format: loggroup; key and id are kept), loggroup (one protobuf
LogGroup a file). auto tells the first three apart.

Exit codes: 0 all published; 64 usage, configuration or input; 69 the queue does
not take it; 75 interrupted.`,
		Example: `  echo '{"level":"info","msg":"hello"}' | flushline publish -c shop.yaml --project shop --logstore web --config-name app
  flushline publish --url nats://127.0.0.1:4222 --project shop --logstore web --config-name app --rate 500/s access.log
  flushline publish --brokers 127.0.0.1:9092 --topic logs --sample --count 10000
  flushline publish -c shop.yaml --sample --count 10000`,
		RunE: func(c *cobra.Command, files []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return p.publish(ctx, &o, files)
		},
	}
	configFlag(p, c, &o.config)
	f := c.Flags()
	f.StringVar(&o.url, "url", "", "`URL` of a NATS server, instead of a configuration")
	f.StringVar(&o.subject, "subject", "", "NATS `SUBJECT` to publish to (default: logs.<project>.<logstore>.<config>)")
	f.StringSliceVar(&o.brokers, "brokers", nil, "`HOST:PORT,...` of a Kafka cluster without credentials, instead of a configuration")
	f.StringVar(&o.topic, "topic", "", "Kafka `TOPIC` to publish to (default: the one that the configuration reads)")
	f.StringVar(&o.key.Project, "project", "", "project of the key")
	f.StringVar(&o.key.Logstore, "logstore", "", "logstore of the key")
	f.StringVar(&o.key.Config, "config-name", "", "config of the key")
	f.StringVar(&o.format, "format", formatAuto, "`FORMAT` of the input: "+strings.Join(inputFormats, ", "))
	f.IntVar(&o.lines, "lines", 100, "at most this many logs in a group, of lines and json")
	f.StringVar(&o.compress, "compress", "none", "`ENCODING` of the messages: none, gzip, zstd, lz4, snappy")
	f.Var(&o.rate, "rate", "at most this much: 20MiB is bytes a second, 500/s groups a second")
	f.Int64Var(&o.count, "count", 0, "stop after `N` groups (0: all)")
	f.BoolVar(&o.sample, "sample", false, "publish made-up but realistic logs instead of an input")
	c.MarkFlagsMutuallyExclusive("config", "url", "brokers")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(inputFormats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (o *publishOptions) check(files []string) (protocol.Encoding, error) {
	encoding, err := protocol.ParseEncoding(o.compress)
	switch {
	case err != nil:
		return 0, usage(fmt.Errorf("--compress: %w", err))
	case !slices.Contains(inputFormats, o.format):
		return 0, usage(fmt.Errorf("--format %q is not known: use %s", o.format, strings.Join(inputFormats, ", ")))
	case o.lines < 1:
		return 0, usage(errors.New("--lines must be at least 1"))
	case o.count < 0:
		return 0, usage(errors.New("--count must not be negative"))
	case o.sample && len(files) > 0:
		return 0, usage(errors.New("--sample makes its own logs: leave the files out"))
	}
	return encoding, nil
}

func (p *program) publish(ctx context.Context, o *publishOptions, files []string) error {
	encoding, err := o.check(files)
	if err != nil {
		return err
	}
	to, err := p.openPublisher(ctx, o)
	if err != nil {
		return err
	}
	defer to.close()
	job := publication{
		sink:  to.sink,
		pack:  packer{encoding: encoding, limit: to.maxPayload, larger: to.larger, subject: to.subject, keyed: to.keyed},
		key:   o.key,
		rate:  o.rate,
		count: o.count,
		show:  newProgress(p.stderr, "published", o.count, "groups"),
	}
	err = job.run(ctx, func(ctx context.Context) iter.Seq2[parcel, error] { return p.parcels(ctx, o, files) })
	job.show.close()
	fmt.Fprintln(p.stdout, job.show.summary())
	if err == nil && ctx.Err() != nil {
		return &coded{exitTryAgain, errors.New("interrupted: the rest was not published")}
	}
	return err
}

// parcels are what all inputs hold, one after the other.
func (p *program) parcels(ctx context.Context, o *publishOptions, files []string) iter.Seq2[parcel, error] {
	if o.sample {
		return samples(ctx, o.key)
	}
	if len(files) == 0 {
		files = []string{"-"}
	}
	return func(yield func(parcel, error) bool) {
		for _, name := range files {
			if !p.oneFile(ctx, o, name, yield) {
				return
			}
		}
	}
}

func (p *program) oneFile(ctx context.Context, o *publishOptions, name string, yield func(parcel, error) bool) (more bool) {
	in := input{name: name, r: p.stdin, format: o.format, lines: o.lines}
	if name == "-" {
		in.name = "stdin"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return yield(parcel{}, usage(fmt.Errorf("couldn't open the input: %w", err)))
		}
		defer f.Close()
		in.r = f
	}
	for one, err := range in.parcels(ctx) {
		if !yield(one, err) {
			return false
		}
	}
	return true
}

func samples(ctx context.Context, key protocol.Key) iter.Seq2[parcel, error] {
	keys := demoKeys
	if key != (protocol.Key{}) {
		keys = []protocol.Key{key}
	}
	made := newTraffic(1, keys)
	return func(yield func(parcel, error) bool) {
		for ctx.Err() == nil {
			key, g := made.group(time.Now())
			if !yield(parcel{key: key, group: g, from: "sample"}, nil) {
				return
			}
		}
	}
}

// publisher is an open way into the queue.
type publisher struct {
	sink       queue.Sink
	maxPayload int
	larger     string // how to let larger messages in
	subject    func(protocol.Key) string
	keyed      bool // messages carry the key as theirs
	close      func()
}

const publishPatience = 10 * time.Second

// openPublisher is the way into the queue that the flags or the configuration
// name.
func (p *program) openPublisher(ctx context.Context, o *publishOptions) (*publisher, error) {
	b, err := p.publishTarget(o)
	if err != nil {
		return nil, err
	}
	to, err := b.publisher(ctx, o, p.warnings())
	if err != nil {
		return nil, atBroker(err, o.config)
	}
	return to, nil
}

func (p *program) publishTarget(o *publishOptions) (broker, error) {
	switch {
	case o.url != "":
		return natsByURL(o.url), nil
	case len(o.brokers) > 0:
		return kafkaByFlags(o.brokers)
	case o.config == "":
		return nil, usage(errors.New("where to? give the worker's configuration with -c FILE, or the server with --url or --brokers"))
	}
	cfg, err := p.loadShown(o.config)
	if err != nil {
		return nil, err
	}
	return brokerOf(cfg), nil
}
