package nats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// Options is what a Source needs beside its configuration.
type Options struct {
	Window     int    // messages a strand may hold; 8192
	MaxMessage int64  // bytes of the largest message; at least the server's limit is used
	Name       string // the source's name in metrics; "nats"
	Log        *zap.Logger
	NATS       []nats.Option // more options of the connection, such as an in-process server
}

func (o Options) withDefaults() Options {
	if o.Window <= 0 {
		o.Window = podWindow
	}
	if o.Name == "" {
		o.Name = "nats"
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Source reads durable pull consumers, each of them one strand at a time.
type Source struct {
	cfg  *Config
	opt  Options
	conn *Conn
	log  *zap.Logger
}

// Open connects and verifies the streams and consumers. Settings that lose or
// stall data, and what is missing, are errors; settings somebody may have chosen
// are logged.
func Open(ctx context.Context, cfg *Config, opt Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("couldn't use source.nats: %w", err)
	}
	opt = opt.withDefaults()
	conn, err := Connect(ctx, cfg, opt.Log, opt.NATS...)
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, opt: opt, conn: conn, log: opt.Log.With(zap.String("source", opt.Name))}
	if err := s.verify(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *Source) verify(ctx context.Context) error {
	var errs []error
	for _, one := range s.cfg.List() {
		report, err := Verify(ctx, s.conn, one, s.cfg)
		if err == nil {
			err = report.Err()
		}
		if err != nil {
			errs = append(errs, err)
		}
		for _, f := range report.Warnings() {
			s.log.Warn("a setting of the queue can lose or delay data", zap.Stringer("finding", &f))
		}
	}
	return errors.Join(errs...)
}

// Conn is the source's connection, which its companions share.
func (s *Source) Conn() *Conn { return s.conn }

// Close ends the connection. Run must have returned.
func (s *Source) Close() { s.conn.Close() }

// Run implements queue.Source. A consumer that is deleted or made anew ends its
// strand as Lost; it is served again as soon as it exists.
func (s *Source) Run(ctx context.Context, h queue.Host) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, one := range s.cfg.List() {
		wg.Go(func() {
			if err := s.serve(ctx, h, one); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
				cancel(&queue.End{Reason: queue.Stopping, Why: "another consumer of the source ended: " + err.Error()})
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// serve serves one consumer, incarnation after incarnation.
func (s *Source) serve(ctx context.Context, h queue.Host, one Consumer) error {
	for {
		b, err := s.find(ctx, h, one)
		if err != nil || b == nil {
			return err
		}
		err = s.live(ctx, h, one, b, nil)
		if err != nil || context.Cause(ctx) != nil {
			return err
		}
	}
}

// live serves one incarnation. It returns when everything settled has reached
// the server or was given up. lane is nil, or what a parked lane needs beside.
func (s *Source) live(ctx context.Context, h queue.Host, one Consumer, b *birth, lane *side) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	st := newStrand(s, one, b, h, lane, func(why string) { end(&queue.End{Reason: queue.Lost, Why: why}) })
	stop, err := st.advisories()
	if err != nil {
		s.log.Warn("recreations are noticed by polling only", zap.Error(err))
		stop = func() {}
	}
	defer stop()

	keeping, rest := context.WithCancel(context.WithoutCancel(ctx)) // what drains is kept ours
	var wg sync.WaitGroup
	wg.Go(func() { st.watch(keeping) })
	wg.Go(func() { st.keep(keeping) })
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		st.closeIntake()
		close(closed)
	})
	s.log.Info("serving", zap.String("stream", one.Stream), zap.String("durable", one.Durable),
		zap.Stringer("incarnation", b.incarnation))

	err = h.Serve(ctx, lane.served(st))

	end(&queue.End{Reason: queue.Stopping})
	<-closed
	st.finish(deadline(ctx))
	rest()
	wg.Wait()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Cause(ctx)) {
		return fmt.Errorf("couldn't go on with %s/%s: %w", one.Stream, one.Durable, err)
	}
	return nil
}

// deadline is until when the end of a strand may take; zero if nobody says.
func deadline(ctx context.Context) time.Time {
	var end *queue.End
	if errors.As(context.Cause(ctx), &end) {
		return end.Deadline
	}
	return time.Time{}
}

// find waits until the consumer can be read. If that takes longer than a moment
// a strand without messages is served meanwhile, so that status shows why. It is
// nil when ctx ended.
func (s *Source) find(ctx context.Context, h queue.Host, one Consumer) (*birth, error) {
	var a *absence
	for n := 0; ; n++ {
		b, err := s.conn.observe(ctx, one)
		if err == nil {
			return b, a.over()
		}
		if n == 3 {
			a = s.absent(ctx, h, one)
		}
		if a != nil {
			a.say(err)
		}
		select {
		case <-ctx.Done():
			return nil, a.over()
		case <-a.ended():
			return nil, a.over()
		case <-s.conn.changed.wait():
		case <-time.After(min(backoff(n), time.Second)):
		}
	}
}
