package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// Verify compares a stream and its consumer with what keeps data safe and
// flowing. A missing one is a *MissingError. Other errors are about asking.
func Verify(ctx context.Context, conn *Conn, consumer Consumer, cfg *Config) (queue.Report, error) {
	stream, err := conn.stream(ctx, consumer.Stream)
	if err != nil {
		return queue.Report{}, err
	}
	durable, err := conn.consumer(ctx, consumer)
	if err != nil {
		return queue.Report{}, err
	}
	return queue.Report{Findings: append(streamFindings(stream, consumer), consumerFindings(durable, consumer, cfg)...)}, nil
}

// streamInfo keeps the configuration as the server wrote it, too, so that an
// update does not reset what this version does not know.
type streamInfo struct {
	jetstream.StreamInfo
	raw rawConfig
}

type consumerInfo struct {
	jetstream.ConsumerInfo
	raw rawConfig
}

type rawConfig map[string]json.RawMessage

func (c *Conn) stream(ctx context.Context, name string) (*streamInfo, error) {
	var info streamInfo
	if err := c.info(ctx, "STREAM.INFO."+name, &info.StreamInfo, &info.raw); err != nil {
		if isCode(err, jetstream.JSErrCodeStreamNotFound) {
			return nil, &queue.MissingError{What: "stream", Name: name}
		}
		return nil, fmt.Errorf("couldn't ask for stream %s: %w", name, err)
	}
	return &info, nil
}

func (c *Conn) consumer(ctx context.Context, one Consumer) (*consumerInfo, error) {
	var info consumerInfo
	if err := c.info(ctx, "CONSUMER.INFO."+one.Stream+"."+one.Durable, &info.ConsumerInfo, &info.raw); err != nil {
		switch {
		case isCode(err, jetstream.JSErrCodeConsumerNotFound):
			return nil, &queue.MissingError{What: "consumer", Name: one.Stream + "/" + one.Durable}
		case isCode(err, jetstream.JSErrCodeStreamNotFound):
			return nil, &queue.MissingError{What: "stream", Name: one.Stream}
		}
		return nil, fmt.Errorf("couldn't ask for consumer %s/%s: %w", one.Stream, one.Durable, err)
	}
	return &info, nil
}

// info decodes one answer twice: typed, and its configuration as it came.
func (c *Conn) info(ctx context.Context, op string, typed any, raw *rawConfig) error {
	var answer json.RawMessage
	if err := c.insist(ctx, op, nil, &answer); err != nil {
		return err
	}
	if err := json.Unmarshal(answer, typed); err != nil {
		return fmt.Errorf("couldn't decode the answer of %s: %w", op, err)
	}
	var config struct {
		Config rawConfig `json:"config"`
	}
	if err := json.Unmarshal(answer, &config); err != nil {
		return fmt.Errorf("couldn't decode the answer of %s: %w", op, err)
	}
	*raw = config.Config
	return nil
}

// apiTimeout bounds one JetStream API request; a cluster that elects a leader
// needs a few seconds.
const apiTimeout = 10 * time.Second

func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}

// explainSilence adds what silence means: the server does not answer requests
// that the user may not make.
func explainSilence(err error, subject string) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: no answer; may this user publish to %s and subscribe to _INBOX.>?", err, subject)
}

// object collects the findings of one stream or consumer.
type object struct {
	name     string
	cli      string // `nats` command that edits it
	findings []queue.Finding
}

// setting is one comparison: a row of the tables in verify_*.go.
type setting struct {
	bad      bool
	severity queue.Severity
	field    string
	found    any
	wanted   any
	why      string
	change   any    // what setup writes; nil: setup leaves it alone
	mend     string // when neither setup nor the plain edit command does it
}

func (o *object) check(settings []setting) []queue.Finding {
	for _, s := range settings {
		if !s.bad {
			continue
		}
		f := queue.Finding{
			Severity: s.severity, Object: o.name, Field: s.field, Found: show(s.found), Wanted: show(s.wanted),
			Why: s.why, Mend: s.mend, Change: s.change,
		}
		if f.Mend == "" {
			f.Mend = o.cli
			if s.change != nil {
				f.Mend = queue.MendBySetup
			}
		}
		o.findings = append(o.findings, f)
	}
	return o.findings
}

func show(v any) string {
	switch v := v.(type) {
	case []string:
		if len(v) == 0 {
			return "none"
		}
		return strings.Join(v, ", ")
	case string:
		if v == "" {
			return "none"
		}
		return v
	}
	return fmt.Sprint(v)
}

// Takes says what can be published so that the consumer gets it: a subject that one of
// filters and one of subjects, those of its stream, match. filters is never empty.
func Takes(ctx context.Context, conn *Conn, consumer Consumer) (filter, subjects []string, err error) {
	stream, err := conn.stream(ctx, consumer.Stream)
	if err != nil {
		return nil, nil, err
	}
	durable, err := conn.consumer(ctx, consumer)
	if err != nil {
		return nil, nil, err
	}
	if filter = filters(&durable.Config); len(filter) == 0 {
		filter = []string{">"}
	}
	return filter, stream.Config.Subjects, nil
}
