package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
)

// Between two sweeps of a partition. A hint never makes them follow each other closer
// than leastPause.
const (
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
	leastPause   = time.Second
)

// lease serves one lease until it ends.
func (p *Parked) lease(ctx context.Context, src *Source, h queue.ParkedHost, l *group.Lease) {
	_, entry, _ := p.parse(l.Topic)
	s := &parkedStrand{
		TopicPartition: l.TopicPartition, parked: p, src: src, lease: l, host: h, entry: entry,
		info: queue.Info{
			Source: src.opt.Name, Name: l.TopicPartition.String(), Parked: true,
			Incarnation: fmt.Sprintf("%s/%d", src.cluster, l.Generation),
		},
		log:  src.log.With(zap.Stringer("partition", l.TopicPartition)),
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), looked: make(chan struct{}, 1),
		since:  time.Now(),
		status: queue.Status{State: queue.StateJoining, Cause: "has not been swept yet", Position: -1, Committed: l.Committed - 1, End: -1, Lag: -1},
	}
	s.status.Committed = max(s.status.Committed, -1)
	own, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	defer context.AfterFunc(ctx, func() { end(endOf(ctx, l)) })()
	p.enter(s)
	defer p.leave(s)
	s.log.Info("serving parked records", zap.Int64("committed", l.Committed))
	served, swept := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(swept)
		s.sweeps(own, served)
	}()
	err := h.Serve(own, s)
	if own.Err() == nil {
		s.log.Error("nobody serves it any more", zap.Error(err))
		end(&queue.End{Reason: queue.Stopping, Why: errLeft.Error()})
	}
	close(served)
	<-swept
}

// sweeps sweeps until own ends; served is closed when the worker has let go of the
// strand.
func (s *parkedStrand) sweeps(own context.Context, served <-chan struct{}) {
	next := start{
		wanted: wanted{position: s.lease.Committed, start: StartEarliest}, patience: s.parked.patience,
		from: &inheritance{Cluster: s.src.cluster, Partition: s.TopicPartition, Committed: s.lease.Committed, Metadata: s.lease.Metadata},
	}
	x := newResting(s)
	for n, fruitless := 0, 0; own.Err() == nil; n++ {
		began := time.Now()
		o := s.sweep(own, served, n, next)
		next = o.next
		pause := firstPause
		switch {
		case o.empty:
		case o.lost || o.again:
			continue
		case o.delivered:
			fruitless = 0
			if o.moved {
				pause = max(pause, min(4*time.Since(began), longestPause)) // putting again is work, too
			}
		default:
			pause = min(firstPause<<min(fruitless, 10), longestPause)
			fruitless++
		}
		x.firsts, x.upTo, x.ticks = o.firsts, o.upTo, 0
		if x.rest(own, began, pause-rand.N(pause/4), &next) {
			fruitless = 0
		}
	}
	<-served
	s.take(true)
	x.hear() // also of a sweep whose topic went away
	if x.unsaved(&next) && !mutant.On(mutant.TryUnsaved) {
		s.commit(own, next)
	}
}

// commit stores where the next sweep would begin, when there is none: what ended behind
// the last one.
func (s *parkedStrand) commit(own context.Context, next start) {
	in := s.src.newStrand(s.lease, next.wanted, 0, func(string) {})
	in.from = next.from
	in.beginAt(next.position)
	in.close()
	s.src.finish(own, in)
}

// start is where and how a sweep begins.
type start struct {
	wanted
	from     *inheritance
	licensed bool
	patience int
}

// sweepEnd is how a sweep ended.
type sweepEnd struct {
	sweepVerdict
	empty bool // there was nothing
	lost  bool // the topic is another one
	moved bool // records were put again
	next  start

	firsts map[queue.Lane]*parkedFirst // lanes that took nothing
	upTo   int64                       // records below were read
}

// sweep serves what lies in the partition now.
func (s *parkedStrand) sweep(own context.Context, served <-chan struct{}, n int, from start) sweepEnd {
	log, err := s.bounds(own)
	if err != nil {
		return sweepEnd{empty: true, next: from}
	}
	from = s.sameTopic(from, log)
	if from.position >= log.first && from.position == log.end {
		s.nothing(log, from.position)
		s.parked.sweptOnce(s.TopicPartition, sweepVerdict{})
		return sweepEnd{empty: true, next: from}
	}
	ctx, lose := context.WithCancelCause(own)
	defer lose(nil)
	in := s.src.newStrand(s.lease, from.wanted, n, func(why string) { lose(&queue.End{Reason: queue.Lost, Why: why}) })
	in.info, in.from = s.info, from.from
	if from.position >= 0 {
		in.beginAt(from.position)
	}
	v := &serving{
		at: s, strand: in, end: log.end, log: s.log, chunks: map[int64]*queue.Delivery{},
		known: map[queue.Lane]*sweepLane[*parkedRecord]{}, firsts: map[queue.Lane]*parkedFirst{}, upTo: max(from.position, log.first),
		plan: newSweep[*parkedRecord](from.patience, from.licensed),
	}
	v.joiner.MaxBytes = s.src.opt.MaxDecompressed
	s.begin(v)
	s.src.enter(in)
	v.run(ctx)
	return s.finish(own, ctx, served, v, from)
}

// sameTopic is where to begin in a topic that may have been made anew since the last
// sweep, when nobody read it: then it is the earliest record. A log that was cut back
// counts as another one.
func (s *parkedStrand) sameTopic(from start, log ends) start {
	was, id := s.id, s.src.atlas.id(s.Topic)
	s.id = id
	if from.position <= log.end && (was == id || was == topicID{} || id == topicID{}) {
		return from
	}
	if from.position < 0 { // so it would begin in any case
		return from
	}
	s.log.Warn("the topic was deleted and made anew, or its log was cut back: it is served from its earliest record",
		zap.Int64("position", from.position), zap.Int64("log_end", log.end), zap.Stringer("id", id))
	s.rewind()
	from.wanted, from.from = wanted{position: -1, start: StartEarliest, former: was}, nil
	return from
}

// rewind lets positions be committed below those that were.
func (s *parkedStrand) rewind() {
	s.src.storing <- struct{}{} // no commit of what was may follow
	defer func() { <-s.src.storing }()
	s.lease.Rewind()
}

// finish ends a sweep: what is held is forgotten and what has ended is committed.
func (s *parkedStrand) finish(own, ctx context.Context, served <-chan struct{}, v *serving, from start) sweepEnd {
	lost := ctx.Err() != nil && own.Err() == nil
	if !lost && own.Err() != nil {
		<-served // until then the worker may settle
		lost = lostTo(own)
	}
	until, ok := deadline(own)
	if !ok || time.Until(until) < afterEnd {
		until = time.Now().Add(afterEnd)
	}
	s.take(own.Err() != nil || lost)
	v.close(until)
	s.over(v)
	v.strand.close()
	s.src.leave(v.strand)
	s.src.finish(ctx, v.strand)
	o := sweepEnd{sweepVerdict: v.plan.verdict(), lost: lost, moved: v.moved > 0, next: from, firsts: v.firsts, upTo: v.upTo}
	o.next.licensed = o.licensed
	o.next.patience = s.parked.patience
	if o.impatient && !o.delivered {
		o.next.patience = min(2*from.patience, 1<<20) // what lies behind them has its turn, too
	}
	v.strand.mu.Lock()
	again, c := v.strand.again, v.strand.cursor
	v.strand.mu.Unlock()
	switch {
	case again != nil:
		o.next.wanted, o.next.from = *again, nil
		s.rewind()
	case c != nil:
		heir, low := c.heir()
		heir.Cluster = s.src.cluster
		o.next.wanted, o.next.from = wanted{position: low}, &heir
	}
	if own.Err() == nil && !lost {
		s.parked.sweptOnce(s.TopicPartition, o.sweepVerdict)
	}
	s.log.Debug("swept", zap.Bool("delivered", o.delivered), zap.Bool("licensed", o.next.licensed), zap.Int("put_again", v.moved), zap.Int64("position", o.next.position))
	return o
}

// bounds asks until somebody answers what the log holds.
func (s *parkedStrand) bounds(own context.Context) (log ends, err error) {
	for n := 0; ; n++ {
		b, ok := s.src.atlas.leads(s.TopicPartition)
		err = errNoLeader
		if ok {
			log, err = s.src.bounds(own, b.Addr(), s.TopicPartition, true)
		}
		if err == nil {
			return log, nil
		}
		s.src.kick()
		s.trouble(err)
		if err := waitFor(own, retryIn(n), nil); err != nil {
			return log, err
		}
	}
}
