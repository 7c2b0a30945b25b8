package history

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Kind is job.Plan.Kind of what PlanRange plans.
const Kind = "kafka"

// Options is what an Input needs beside the configuration.
type Options struct {
	MaxDecompressed int64 // bytes of the largest record handed out as it is; 64 MiB
	Log             *zap.Logger
}

// Input reads slices that PlanRange planned.
type Input struct {
	client        *wire.Client
	book          *leaders.Book
	readCommitted bool
	rack          string
	max           int64
	tail          time.Duration // how long a log may end within a range before that is a loss
	log           *zap.Logger
}

var _ job.Input = (*Input)(nil)

// New makes the input of a configuration's topics. It asks nobody yet. The client
// stays the caller's.
func New(client *wire.Client, cfg *kafka.Config, opt Options) *Input {
	if opt.MaxDecompressed <= 0 {
		opt.MaxDecompressed = 64 << 20
	}
	if opt.Log == nil {
		opt.Log = zap.NewNop()
	}
	return &Input{
		client: client, book: leaders.NewBook(client),
		readCommitted: cfg.Isolation == kafka.ReadCommitted, rack: cfg.Rack,
		max: opt.MaxDecompressed, tail: tailPatience, log: opt.Log,
	}
}

// Open implements job.Input. It asks the brokers only if nobody did within the last
// second, so many readers are opened with one request.
func (in *Input) Open(ctx context.Context, s *job.Slice, at int64) (job.Reader, error) {
	place, err := parsePlace(s.Name)
	if err != nil {
		return nil, err
	}
	if s.To < 0 {
		return nil, job.Unreadable(fmt.Errorf("couldn't read %s: the plan does not say where it ends", s.Name))
	}
	r := &reader{
		TopicPartition: place, in: in, stamp: s.Stamp, next: at, to: s.To,
		log: in.log.With(zap.String("slice", s.Name)), replica: -1, ratio: 2,
	}
	r.decoder.Max = in.max
	if err := r.confirm(ctx); err != nil {
		return nil, marked(err)
	}
	var id [16]byte // the stamp is the topic's; a replayed message has the ids that it had in the live source
	if s.Stamp != "" {
		if n, err := hex.Decode(id[:], []byte(s.Stamp[:min(len(s.Stamp), 2*len(id))])); err != nil || n != len(id) || len(s.Stamp) != 2*len(id) {
			return nil, job.Unreadable(fmt.Errorf("couldn't read %s: %q is no topic id", s.Name, s.Stamp))
		}
	}
	r.seed = wire.Seed(in.book.Cluster(), place.Topic, id)
	return r, nil
}

// parsePlace reads the name of a slice: logs[3].
func parsePlace(name string) (wire.TopicPartition, error) {
	topic, rest, _ := strings.Cut(name, "[")
	number, closed := strings.CutSuffix(rest, "]")
	n, err := strconv.ParseInt(number, 10, 32)
	if topic == "" || !closed || err != nil || n < 0 {
		return wire.TopicPartition{}, job.Unreadable(fmt.Errorf("couldn't read %q: it names no partition as topic[partition] does", name))
	}
	return wire.TopicPartition{Topic: topic, Partition: int32(n)}, nil
}

// How old may be what is known of a topic that is read, how long it has to be away
// before it counts as gone, and how long to have another id: a broker that starts may
// not know all topics yet, or know one that is no more.
const (
	confirmEvery = time.Second
	goneAfter    = 5 * time.Second
	otherAfter   = 2 * time.Second
)

// tailPatience is how long a log may end within a range.
const tailPatience = time.Minute

// confirm sees to it that the topic was the planned one within the last second.
func (r *reader) confirm(ctx context.Context) error {
	if time.Since(r.confirmed) < confirmEvery {
		return nil
	}
	t, err := r.in.book.Topic(ctx, r.Topic, confirmEvery)
	id := t.ID.String()
	switch {
	case !t.Away.IsZero() && t.Asked.Sub(t.Away) >= goneAfter:
		return r.changed("topic %s is gone: no broker knows it", r.Topic)
	case err != nil:
		return fmt.Errorf("couldn't read %s: %w", r, err)
	case r.stamp == "" || id == "" || id == r.stamp:
		r.confirmed = t.Asked
		return nil
	case t.Asked.Sub(t.Since) >= otherAfter:
		return r.changed("topic %s was deleted and made anew: its id is %s and was %s", r.Topic, id, r.stamp)
	}
	return fmt.Errorf("couldn't read %s: a broker says that the topic's id is %s, and it was planned with %s", r, id, r.stamp)
}

func (r *reader) changed(format string, args ...any) error {
	return &job.ChangedError{Slice: r.String(), Why: fmt.Sprintf(format, args...)}
}
