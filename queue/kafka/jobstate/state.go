package jobstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Options is what a state needs beside the configuration.
type Options struct {
	Session time.Duration // without a sign of life of a shard's holder, until it counts as dead; 10s
	Log     *zap.Logger
}

// beside is how many partitions a job's topic has beside those of the shards: one for
// the manifest and one for the pieces.
const beside = 2

// OpenState keeps a job of so many shards in Kafka, beside the topics of cfg and for
// its group; of 0 takes as many as the job has. The topic is made when the job begins,
// as safe as the first source topic; one that is there is verified. The client stays
// the caller's.
//
// A job that exists with another number of shards is an error, as is a topic that
// would lose some of it.
func OpenState(ctx context.Context, client *wire.Client, cfg *kafka.Config, name string, of int, opt Options) (job.State, error) {
	if !job.NameRule.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of a job: it has 1 to 48 letters, digits, - and _", name)
	}
	if opt.Session <= 0 {
		opt.Session = 10 * time.Second
	}
	if opt.Log == nil {
		opt.Log = zap.NewNop()
	}
	s := &state{
		client: client, cfg: cfg, book: leaders.NewBook(client), input: newInput(client, cfg),
		name: name, of: of, session: opt.Session, logger: opt.Log.With(zap.String("job", name)),
		me: whoAmI(), leases: map[*lease]bool{},
	}
	if err := s.find(ctx); err != nil {
		return nil, fmt.Errorf("couldn't open job %s: %w", name, err)
	}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	return s, nil
}

// ListJobs are the names of the jobs of the group of cfg, sorted.
func ListJobs(ctx context.Context, client *wire.Client, cfg *kafka.Config) ([]string, error) {
	found, err := kafka.JobTopics(ctx, client, cfg)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// state is one job in its topic.
type state struct {
	client  *wire.Client
	cfg     *kafka.Config
	book    *leaders.Book
	input   *history.Input
	name    string
	source  string // the topic whose safety is copied
	topic   string
	of      int
	session time.Duration
	logger  *zap.Logger
	me      string          // this process, for people
	life    context.Context // until Close
	end     context.CancelFunc

	mu     sync.Mutex
	closed bool
	leases map[*lease]bool
	begun  *begun // the manifest as it was read last
}

// find looks where the job is, or would be.
func (s *state) find(ctx context.Context) error {
	sources, err := kafka.SourceTopics(ctx, s.client, s.cfg)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("no topic matches topics_regex %q, so there is none to keep a job beside: keep it in a directory: --state DIR", s.cfg.TopicsRegex)
	}
	jobs, err := kafka.JobTopics(ctx, s.client, s.cfg)
	if err != nil {
		return err
	}
	s.source, s.topic = sources[0], kafka.JobTopic(sources[0], s.cfg.Group, s.name)
	switch found := jobs[s.name]; {
	case len(found) > 1:
		return fmt.Errorf("several topics keep a job of that name: %v: delete those that are not wanted with kafka-topics.sh --delete --topic", found)
	case len(found) == 1:
		s.topic = found[0] // it begins with another source topic if their order was changed
	}
	const longest = 249
	if len(s.topic) > longest {
		return fmt.Errorf("its topic would be called %s: that is %d characters, Kafka allows %d; choose a shorter name, or keep it in a directory: --state DIR", s.topic, len(s.topic), longest)
	}
	return s.verify(ctx)
}

// verify compares the topic, if there is one.
func (s *state) verify(ctx context.Context) error {
	partitions, err := kafka.VerifyJobTopic(ctx, s.client, s.cfg, s.topic)
	has := partitions - beside
	switch {
	case err != nil:
		return err
	case partitions == 0 && s.of < 1:
		return &queue.MissingError{What: "job", Name: s.name}
	case partitions == 0:
		return nil
	case s.of == 0:
		s.of = has
	}
	if has != s.of {
		return fmt.Errorf("it was begun with %d shards: write --of %d instead of %d, or choose another name", has, has, s.of)
	}
	return nil
}

// Describe implements job.State.
func (s *state) Describe() string { return "kafka topic " + s.topic }

// there asks whether the topic exists.
func (s *state) there(ctx context.Context) (t leaders.Topic, there bool, err error) {
	err = retried(ctx, func(ctx context.Context) error {
		t, err = s.book.Topic(ctx, s.topic, 0)
		if !t.Away.IsZero() {
			return nil
		}
		return err
	})
	return t, err == nil && t.Away.IsZero(), err
}

// partition is one of the topic.
func (s *state) partition(n int) *log {
	return &log{TopicPartition: wire.TopicPartition{Topic: s.topic, Partition: int32(n)}, client: s.client, book: s.book, input: s.input}
}

func (s *state) manifests() *log { return s.partition(s.of) }
func (s *state) pieces() *log    { return s.partition(s.of + 1) }

func (s *state) shardLog(n int) (*log, error) {
	if n < 0 || n >= s.of {
		return nil, fmt.Errorf("job %s has no shard %d: it has %d, from 0", s.name, n, s.of)
	}
	return s.partition(n), nil
}

// Checkpoint implements job.State.
func (s *state) Checkpoint(ctx context.Context, n int) ([]byte, error) {
	g, err := s.shardLog(n)
	if err != nil {
		return nil, err
	}
	_, there, err := s.there(ctx)
	if err != nil || !there {
		return nil, err
	}
	var seen shard
	if err := g.readAll(ctx, seen.apply); err != nil {
		return nil, fmt.Errorf("couldn't read the checkpoint of shard %d: %w", n, err)
	}
	return seen.checkpoint, nil
}

// readAll calls each for all records that there are now.
func (g *log) readAll(ctx context.Context, each func(*queue.Message)) error {
	var end int64
	err := retried(ctx, func(ctx context.Context) (err error) {
		end, err = g.end(ctx)
		return err
	})
	if err != nil || end == 0 {
		return err
	}
	return g.read(ctx, 0, end, each)
}

var errClosed = errors.New("the job was closed")

// remember keeps a lease until it is over.
func (s *state) remember(l *lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.leases[l] = true
	return nil
}

func (s *state) forget(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, l)
}

// Close implements job.State. Shards that are held are not let go: their holder looks
// dead from now on.
func (s *state) Close() error {
	s.mu.Lock()
	s.closed = true
	held := slices.Collect(maps.Keys(s.leases))
	s.mu.Unlock()
	s.end()
	for _, l := range held {
		l.stop()
	}
	return nil
}

// newID tells what one attempt stored from what others did.
func newID() string { return rand.Text() }
