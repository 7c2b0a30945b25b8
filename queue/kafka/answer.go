package kafka

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/unpack"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// answerTimeout is how long a broker may take for an answer, beyond the time that
// it may wait for messages.
const answerTimeout = 20 * time.Second

// fetch sends one request and shares out its answer. It returns how much of what was
// taken from the budget is used.
func (l *leader) fetch(ctx context.Context, p poll, taken int64) (used int64) {
	q := l.compose(p, taken)
	if len(q.Partitions) == 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, p.maxWait+answerTimeout)
	defer cancel()
	r, err := l.src.client.Fetch(ctx, l.address(), q)
	l.answered = time.Now()
	if err != nil {
		l.failed(err)
		return 0
	}
	defer r.Release()
	l.failures, l.notBefore = 0, time.Time{}
	if r.Throttle > 0 {
		l.notBefore = l.answered.Add(r.Throttle)
		l.mu.Lock()
		l.throttled = l.notBefore
		l.mu.Unlock()
	}
	defer unpack.Enter()()
	b := &balance{host: l.src.host, left: taken}
	for i := range r.Partitions {
		if s := l.named(i, r.Partitions[i].TopicPartition); s != nil {
			l.share(s, &r.Partitions[i], b)
		}
	}
	for _, s := range l.asking {
		s.unclaim(l) // the broker left it out
	}
	l.rotate()
	l.sizer.used(taken, taken-b.left)
	return taken - b.left
}

// balance pays for deliveries: first from what was taken, then on top.
type balance struct {
	host queue.Host
	left int64
}

func (b *balance) pay(n int64) {
	if over := n - b.left; over > 0 {
		b.host.Charge(over)
		n = b.left
	}
	b.left -= n
}

// compose claims the strands that are asked for.
func (l *leader) compose(p poll, taken int64) *wire.FetchRequest {
	q := &l.request
	var held, inLog, need int64
	asking := l.asking[:0]
	q.Partitions = q.Partitions[:0]
	for _, s := range l.asking {
		w := s.wish()
		at, ok := s.claim(l, w)
		if !ok {
			continue
		}
		if len(asking) == 0 {
			need = w.need // the others come first in turn
		}
		held += w.held
		inLog += w.inLog
		asking = append(asking, s)
		q.Partitions = append(q.Partitions, at)
	}
	l.asking = asking
	q.MaxWait, q.MinBytes = p.maxWait, 1
	q.MaxBytes = int32(min(inLog, max(leastSet, need, int64(float64(taken)*float64(inLog)/float64(max(held, 1))))))
	for i := range q.Partitions {
		q.Partitions[i].MaxBytes = min(q.Partitions[i].MaxBytes, q.MaxBytes)
	}
	q.ReadCommitted = l.src.cfg.Isolation == ReadCommitted
	q.Rack = l.src.cfg.Rack
	return q
}

// named finds the strand of part i of an answer; brokers keep the order.
func (l *leader) named(i int, at wire.TopicPartition) *strand {
	if i < len(l.asking) && l.asking[i].TopicPartition == at {
		return l.asking[i]
	}
	if k := slices.IndexFunc(l.asking, func(s *strand) bool { return s.TopicPartition == at }); k >= 0 {
		return l.asking[k]
	}
	return nil
}

// failed is a request without an answer: the broker is away, and what it led may
// have another leader.
func (l *leader) failed(err error) {
	l.notBefore = l.answered.Add(retryIn(l.failures))
	l.failures++
	for _, s := range l.asking {
		if s.unclaim(l) {
			s.fail(err, l.answered)
			s.forgetReplica()
		}
	}
	l.src.kick()
}

// share gives a strand its part of an answer.
func (l *leader) share(s *strand, p *wire.FetchedPartition, b *balance) {
	c, ok := s.open(l, p)
	if !ok {
		return
	}
	h, err := haul{next: c.from}, p.Err
	if err == nil {
		h, err = l.unpacker.unpack(s, c, p)
	}
	b.pay(h.held)
	if !s.land(&h, l.answered, err == nil) {
		l.src.host.Give(h.held)
	}
	if err != nil {
		l.trouble(s, c, err)
	}
	if p.PreferredReplica >= 0 && p.Err == nil {
		s.prefer(p.PreferredReplica)
		l.src.route(s)
	}
}

// trouble draws the conclusion from the error of one partition.
func (l *leader) trouble(s *strand, c opened, err error) {
	switch what := s.fail(err, l.answered); {
	case s.forgetReplica():
		l.src.route(s)
	case what == refresh:
		l.src.kick()
	case what == relocate:
		s.stray(c.from)
	case what == suspicious:
		s.doubt(fmt.Sprintf("broker %s does not know the topic", l.address()))
		l.src.kick()
	case what == corrupt:
		s.log.Error("couldn't read a record set", zap.Int64("offset", c.from), zap.Error(err))
	}
}

// rotate lets those that were served wait behind those that were not.
func (l *leader) rotate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortStableFunc(l.strands, func(a, b *strand) int { return cmp.Compare(a.turn.Load(), b.turn.Load()) })
}
