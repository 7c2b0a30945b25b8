package kafka

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// settings is the configuration of the source that reads the companions.
func (p *Parked) settings() *Config {
	cfg := *p.cfg
	cfg.Group = parkedGroup(cfg.Group)
	cfg.Topics, cfg.TopicsRegex = nil, strings.TrimSuffix(strings.TrimPrefix(p.name.String(), "^"), "$")
	cfg.Start, cfg.OutOfRange = StartEarliest, OutOfRangeEarliest
	cfg.Span = sweepSpan
	cfg.ConnectTimeout = 0
	return &cfg
}

// sweepSpan is how many records a sweep may look at beyond the oldest one that has not
// ended: a bit of memory each.
const sweepSpan = 1 << 24

// Run implements queue.Parked. What ends the serving of parked records is tried again
// until ctx ends, with a line in the log; the live strands know nothing of it.
func (p *Parked) Run(ctx context.Context, h queue.ParkedHost) error {
	for n := 0; ctx.Err() == nil; {
		n = p.try(ctx, h, n)
	}
	return nil
}

// try serves until something ends it, and waits before the next try; it counts those
// that did not last.
func (p *Parked) try(ctx context.Context, h queue.ParkedHost, n int) int {
	began := time.Now()
	err := p.run(ctx, h)
	if ctx.Err() != nil {
		return n // what a stop leaves behind was said where it happened
	}
	if time.Since(began) > longestRetry {
		n = 0
	}
	pause := min(time.Second<<min(n, 6), longestRetry)
	p.log.Error("parked records are not served; tried again", zap.Duration("in", pause), zap.Error(err))
	_ = waitFor(ctx, pause, nil) // whoever calls sees its end
	return n + 1
}

const longestRetry = time.Minute

func (p *Parked) run(ctx context.Context, h queue.ParkedHost) error {
	opt := p.opt
	opt.Name += "_parked"
	src := newSource(p.settings(), opt, p.client)
	d := newDeleter(p, src)
	src.role = role{
		companion: true,
		serve:     func(ctx context.Context, l *group.Lease) { p.lease(ctx, src, h, l) },
		stored:    d.stored,
	}
	if err := src.open(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	p.running = src
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running = nil
	}()
	var deleting sync.WaitGroup
	lasting, stop := context.WithCancel(context.WithoutCancel(ctx)) // for what the last commits let go
	deleting.Go(func() { d.run(lasting) })
	err := src.Run(ctx, h)
	stop()
	deleting.Wait()
	d.last()
	if err == nil && ctx.Err() == nil {
		return errLeft
	}
	return err
}

// enter and leave keep the strands that Look has to reach.
func (p *Parked) enter(s *parkedStrand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served[s] = struct{}{}
}

func (p *Parked) leave(s *parkedStrand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.served, s)
}

// sweptOnce says that a sweep went to its end.
func (p *Parked) sweptOnce(at wire.TopicPartition, v sweepVerdict) {
	if p.swept != nil {
		p.swept(at, v)
	}
}

// unknown reports once that there are records for an entry that nobody here has.
func (p *Parked) unknown(topic, to string) {
	p.mu.Lock()
	was := p.told[to]
	p.told[to] = true
	p.mu.Unlock()
	if was {
		return
	}
	_, entry, _ := strings.Cut(to, "/")
	route, flusher, _ := strings.Cut(entry, "/")
	p.log.Error("records are parked for a route and flusher that this configuration does not have: they stay",
		zap.String("reason", "unknown_target"), zap.String("to", to), zap.String("topic", topic),
		zap.String("mend", "put the route back, or move them: flushline parked move -c FILE --route "+route+" --flusher "+flusher+" --to ROUTE/FLUSHER"))
}
