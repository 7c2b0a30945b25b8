package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// Options is what a Source needs beside its configuration.
type Options struct {
	Window          int           // messages a strand may hold; 8192
	MaxMessage      int64         // bytes of the largest message the worker takes; 16 MiB
	MaxDecompressed int64         // bytes of the largest record handed out as it is; 64 MiB
	Drain           time.Duration // how long a revoked partition may drain; 25s
	Name            string        // the source's name in metrics; "kafka"
	Log             *zap.Logger

	// Dial opens TCP connections, also those of what shares the source's client; nil
	// is a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o *Options) defaults() {
	if o.Window <= 0 {
		o.Window = 8192
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = 16 << 20
	}
	if o.MaxDecompressed <= 0 {
		o.MaxDecompressed = 64 << 20
	}
	if o.Drain <= 0 {
		o.Drain = 25 * time.Second
	}
	if o.Name == "" {
		o.Name = "kafka"
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
}

// role is what a source does otherwise that reads a companion. The zero value is a
// source of live messages.
type role struct {
	// serve serves a lease in place of a strand for each.
	serve func(ctx context.Context, l *group.Lease)

	// stored is told of each position that the group has stored.
	stored func(s *strand, offset int64)

	companion bool // topics are companions, and one that is away is no strand
}

// Source reads topics as a member of a group: each partition that the group gives
// it is one strand at a time.
type Source struct {
	cfg     *Config
	opt     Options
	client  *wire.Client
	log     *zap.Logger
	cluster string
	atlas   *atlas

	startAt time.Time                    // that Config.Start names
	first   map[wire.TopicPartition]bool // partitions that were there when the source was opened
	settled map[string]bool              // topics of which the group had committed offsets then

	kicked   chan struct{}
	wanted   atomic.Bool           // somebody wants metadata
	troubled atomic.Bool           // the last metadata left trouble
	silence  atomic.Pointer[error] // why the last question for metadata had no answer; nil: it had one

	role role

	// Of Run.
	host    queue.Host
	member  *group.Member
	commits *committer
	storing chan struct{}   // holds a token while a commit is under way; no mutex, as that takes its time
	running context.Context // ends when the last strand has
	loops   sync.WaitGroup
	stop    context.CancelCauseFunc
	broken  atomic.Pointer[error] // what ended Run from within

	mu      sync.Mutex
	leaders map[int32]*leader
	strands map[wire.TopicPartition]*strand
	cursors map[*cursor]*strand // of strands that have not made their last commit
	passed  map[wire.TopicPartition]*passed
	vacant  time.Time // since when there is no strand; zero while there is one
}

// Open connects and finds out what is there. Brokers that cannot be reached within
// ConnectTimeout, that refuse us or are too old are errors; a topic that does not
// exist is not.
func Open(ctx context.Context, cfg *Config, opt Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("couldn't use source.kafka: %w", err)
	}
	opt.defaults()
	client, err := connect(cfg, opt.Dial)
	if err != nil {
		return nil, err
	}
	s := newSource(cfg, opt, client)
	if err := s.open(ctx); err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

func newSource(cfg *Config, opt Options, client *wire.Client) *Source {
	return &Source{
		cfg: cfg, opt: opt, client: client,
		log:     opt.Log.With(zap.String("source", opt.Name), zap.String("group", cfg.Group)),
		first:   map[wire.TopicPartition]bool{},
		settled: map[string]bool{},
		kicked:  make(chan struct{}, 1),
		storing: make(chan struct{}, 1),
		leaders: map[int32]*leader{},
		strands: map[wire.TopicPartition]*strand{},
		cursors: map[*cursor]*strand{},
		passed:  map[wire.TopicPartition]*passed{},
	}
}

// Client is the source's connection to the cluster, which its companions share.
func (s *Source) Client() *wire.Client { return s.client }

// Close ends the connections. Run must have returned.
func (s *Source) Close() { s.client.Close() }

// Totals implements queue.Meter.
func (s *Source) Totals() queue.Totals {
	s.mu.Lock()
	m := s.member
	s.mu.Unlock()
	if m == nil {
		return queue.Totals{}
	}
	return queue.Totals{Rebalances: m.Status().Rebalances}
}

// unwell is what keeps the member from being well; nil: nothing does.
func (s *Source) unwell() error {
	s.mu.Lock()
	m := s.member
	s.mu.Unlock()
	if m == nil {
		return nil
	}
	return m.Status().Err
}

// Run implements queue.Source: it joins the group and serves what it is given. It
// may be called once.
func (s *Source) Run(ctx context.Context, h queue.Host) error {
	ctx, s.stop = context.WithCancelCause(ctx)
	defer s.stop(nil)
	running, rest := context.WithCancel(context.WithoutCancel(ctx)) // what drains is read no more, but committed
	defer rest()
	s.host, s.running = h, running
	m, err := s.newMember()
	if err != nil {
		return err
	}
	s.commits = newCommitter(s.cfg.Commit, s.store)
	s.mu.Lock()
	s.member = m
	s.vacant = time.Now()
	s.mu.Unlock()
	m.Subscribe(s.atlas.subscription())

	var errs [2]error
	s.loops.Go(func() { s.commits.run(running) })
	var watching sync.WaitGroup
	watching.Go(func() {
		x := &absences{src: s, host: h, live: map[string]*absence{}}
		if errs[0] = s.watch(ctx, x); errs[0] != nil {
			s.stop(&queue.End{Reason: queue.Stopping, Why: errs[0].Error()})
		}
	})
	if err := m.Run(ctx); err != nil {
		errs[1] = advised(err)
	}
	s.stop(&queue.End{Reason: queue.Stopping, Why: "the source ends"})
	watching.Wait()
	rest()
	s.loops.Wait()
	if p := s.broken.Load(); p != nil {
		return errors.Join(*p, errs[0], errs[1])
	}
	return errors.Join(errs[:]...)
}
