package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// SetupOptions say how far Plan may go.
type SetupOptions struct {
	Update      bool  // change what exists
	DeadLetters bool  // with the dead letter companions
	Parked      bool  // with the companions for parked records
	Replicas    int   // of streams that are created; 0: 1
	MaxBytes    int64 // of streams that are created, with discard new; 0: no limit

	MaxAge time.Duration // of messages in streams that are created, flushed or not; 0: for ever
}

// Plan says what has to be done so that the consumers of cfg exist and are safe to
// read. It changes nothing; printing it is the dry run.
func Plan(ctx context.Context, conn *Conn, cfg *Config, o SetupOptions) ([]queue.Step, error) {
	p := &planner{conn: conn, cfg: cfg, o: o, streams: map[string]*streamInfo{}}
	for _, one := range cfg.List() {
		if err := p.stream(ctx, one); err != nil {
			return nil, err
		}
	}
	for _, one := range cfg.List() {
		if err := p.consumer(ctx, one); err != nil {
			return nil, err
		}
		if o.DeadLetters {
			if err := p.companion(ctx, one, lettersKind); err != nil {
				return nil, err
			}
		}
		if o.Parked {
			if err := p.companion(ctx, one, parkedKind); err != nil {
				return nil, err
			}
		}
	}
	return p.steps, nil
}

// Setup plans and carries out; the steps are what was planned, the error joins
// what failed. It goes on after a failure, so that one run shows everything.
func Setup(ctx context.Context, conn *Conn, cfg *Config, o SetupOptions) ([]queue.Step, error) {
	steps, err := Plan(ctx, conn, cfg, o)
	if err != nil {
		return nil, err
	}
	return steps, queue.ApplyAll(ctx, steps)
}

type planner struct {
	conn    *Conn
	cfg     *Config
	o       SetupOptions
	streams map[string]*streamInfo // nil: will be created
	steps   []queue.Step
}

// stream plans a stream once, with the subjects of all its consumers.
func (p *planner) stream(ctx context.Context, one Consumer) error {
	if _, done := p.streams[one.Stream]; done {
		return nil
	}
	var subjects []string
	for _, other := range p.cfg.List() {
		if other.Stream == one.Stream {
			subjects = mergeSubjects(subjects, other.Subjects)
		}
	}
	one.Subjects = subjects
	info, err := p.conn.stream(ctx, one.Stream)
	p.streams[one.Stream] = info
	var missing *queue.MissingError
	switch {
	case errors.As(err, &missing):
		p.steps = append(p.steps, p.conn.createStream("stream", sourceStream(one, p.o)))
		return nil
	case err != nil:
		return err
	}
	p.existing(queue.Step{What: "stream", Name: one.Stream}, streamFindings(info, one), func(ctx context.Context, fs []queue.Finding) error {
		return p.conn.updateStream(ctx, info, fs)
	})
	return nil
}

// sourceStream is the stream we make: nothing expires unless o says when, and when
// it is full its producers are told. Messages stay after they were acknowledged, because other
// consumers may read them.
func sourceStream(one Consumer, o SetupOptions) jetstream.StreamConfig {
	subjects := one.Subjects
	if len(subjects) == 0 {
		subjects = []string{"logs.>"}
	}
	c := unlimited(one.Stream, subjects, max(o.Replicas, 1))
	if o.MaxBytes > 0 {
		c.MaxBytes = o.MaxBytes
	}
	c.MaxAge = max(o.MaxAge, 0)
	return c
}

func unlimited(name string, subjects []string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: name, Subjects: subjects, Replicas: replicas,
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPerSubject: -1, AllowDirect: true,
	}
}

func (c *Conn) createStream(what string, config jetstream.StreamConfig) queue.Step {
	return queue.Step{
		What: what, Name: config.Name, Action: queue.Create,
		Changes: []queue.Change{
			{Field: "subjects", To: show(config.Subjects)},
			{Field: "storage", To: show(config.Storage)},
			{Field: "num_replicas", To: show(config.Replicas)},
			{Field: "discard", To: show(config.Discard)},
			{Field: "max_bytes", To: showLimit(config.MaxBytes)},
			{Field: "max_age", To: showAge(config.MaxAge)},
		},
		Do: func(ctx context.Context) error {
			op := "STREAM.CREATE." + config.Name
			return explainSilence(c.Request(ctx, op, config, nil), c.prefix+op)
		},
	}
}

func showLimit(bytes int64) string {
	if bytes <= 0 {
		return "-1 (no limit)"
	}
	return strconv.FormatInt(bytes, 10)
}

func showAge(age time.Duration) string {
	if age <= 0 {
		return "0 (no limit)"
	}
	return age.String()
}

func (p *planner) consumer(ctx context.Context, one Consumer) error {
	step := queue.Step{What: "consumer", Name: one.Stream + "/" + one.Durable}
	info, err := p.conn.consumer(ctx, one)
	var missing *queue.MissingError
	switch {
	case errors.As(err, &missing):
		p.steps = append(p.steps, p.conn.createConsumer(step, one, p.cfg))
		return nil
	case err != nil:
		return err
	}
	p.existing(step, consumerFindings(info, one, p.cfg), func(ctx context.Context, fs []queue.Finding) error {
		return p.conn.updateConsumer(ctx, one, info, fs)
	})
	return nil
}

func (c *Conn) createConsumer(step queue.Step, one Consumer, cfg *Config) queue.Step {
	config := jetstream.ConsumerConfig{
		Durable: one.Durable, Name: one.Durable, FilterSubjects: one.Subjects,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, ReplayPolicy: jetstream.ReplayInstantPolicy,
		AckWait: max(cfg.AckWait, MinAckWait), MaxDeliver: -1, MaxAckPending: cfg.ackPending(), MaxWaiting: max(512, 4*cfg.MaxPods),
	}
	step.Action = queue.Create
	step.Changes = []queue.Change{
		{Field: "filter_subjects", To: show(config.FilterSubjects)},
		{Field: "ack_policy", To: show(config.AckPolicy)},
		{Field: "ack_wait", To: show(config.AckWait)},
		{Field: "max_deliver", To: show(config.MaxDeliver)},
		{Field: "max_ack_pending", To: show(config.MaxAckPending)},
	}
	step.Do = func(ctx context.Context) error { return c.writeConsumer(ctx, one, "create", config) }
	return step
}

func (c *Conn) writeConsumer(ctx context.Context, one Consumer, action string, config any) error {
	op := "CONSUMER.CREATE." + one.Stream + "." + one.Durable
	req := map[string]any{"stream_name": one.Stream, "config": config, "action": action}
	return explainSilence(c.Request(ctx, op, req, nil), c.prefix+op)
}

// existing plans what to do about the findings of something that is there.
func (p *planner) existing(step queue.Step, found []queue.Finding, write func(context.Context, []queue.Finding) error) {
	step.Mend(found, p.o.Update, write)
	p.steps = append(p.steps, step)
}

func (c *Conn) updateStream(ctx context.Context, info *streamInfo, fs []queue.Finding) error {
	raw, err := info.raw.with(fs)
	if err != nil {
		return err
	}
	op := "STREAM.UPDATE." + info.Config.Name
	return explainSilence(c.Request(ctx, op, raw, nil), c.prefix+op)
}

func (c *Conn) updateConsumer(ctx context.Context, one Consumer, info *consumerInfo, fs []queue.Finding) error {
	raw, err := info.raw.with(fs)
	if err != nil {
		return err
	}
	if _, both := raw["filter_subjects"]; both {
		delete(raw, "filter_subject")
	}
	return c.writeConsumer(ctx, one, "update", raw)
}

// with is the configuration as the server wrote it with the changes of findings.
func (r rawConfig) with(fs []queue.Finding) (rawConfig, error) {
	out := rawConfig{}
	for k, v := range r {
		out[k] = v
	}
	for _, f := range fs {
		b, err := json.Marshal(f.Change)
		if err != nil {
			return nil, fmt.Errorf("couldn't encode %s: %w", f.Field, err)
		}
		out[f.Field] = b
	}
	return out, nil
}
