package kafka

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
)

// move has records put again, one put at a time.
func (v *serving) move(ctx context.Context) {
	if v.moves != nil || time.Now().Before(v.moveFrom) {
		return
	}
	bytes := int64(0)
	v.lanes, v.moving = v.plan.moves(moveRecords, func(r *parkedRecord) bool {
		bytes += r.cost
		return bytes <= moveBytes
	})
	if len(v.moving) == 0 {
		return
	}
	v.moves = make(chan []error, 1)
	ms := make([]queue.Message, len(v.moving))
	for i, r := range v.moving {
		v.cost -= r.cost
		ms[i] = r.putAgain()
	}
	putting, stop := context.WithCancel(context.WithoutCancel(ctx)) // what is stored is to be known, also at the end
	v.stop = stop
	go func(done chan<- []error) {
		defer stop()
		done <- v.at.parked.putAgain(putting, v.at.Topic, ms)
	}(v.moves)
}

// putAgain stores records once more in the topic that they lie in. It ends by itself,
// as every Put does.
func (p *Parked) putAgain(ctx context.Context, topic string, ms []queue.Message) []error {
	sink, err := p.existing(ctx, topic)
	if err != nil {
		errs := make([]error, len(ms))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	errs := sink.Put(ctx, ms)
	if errs == nil {
		failpoint.Hit(failpoint.ParkedMoved)
	}
	return errs
}

// settle takes in the answer to a put: the old record of what is stored has ended.
func (v *serving) settle(errs []error) {
	var failed []error
	for i, r := range v.moving {
		if i < len(errs) && errs[i] != nil {
			failed = append(failed, errs[i])
			v.cost += r.cost
			v.plan.stayed(v.lanes[i], r)
			continue
		}
		r.end()
		v.at.host.Give(r.cost)
		v.plan.moved()
		v.moved++
	}
	v.moves, v.moving, v.lanes = nil, nil, nil
	v.strand.src.commits.settled()
	if len(failed) == 0 {
		v.failures = 0
		return
	}
	v.moveFrom = time.Now().Add(retryIn(v.failures))
	v.failures++
	v.log.Warn("couldn't put parked records again; tried again", zap.Int("records", len(failed)), zap.Error(failed[0]))
}

// close gives back what is held, once nothing is handed out any more or nobody cares.
// until bounds the wait for a put that is under way.
func (v *serving) close(until time.Time) {
	if v.moves != nil {
		t := time.AfterFunc(time.Until(until), v.stop)
		defer t.Stop()
		v.settle(<-v.moves)
	}
	v.hear()
	for _, r := range v.plan.left() {
		r.forget()
	}
	orphans := 0
	for _, d := range v.chunks {
		if time.Since(d.Message().Time) > orphanAge {
			orphans++
			d.Ack()
		} else {
			d.Release()
		}
		d.Free()
	}
	if orphans > 0 {
		v.log.Warn("chunks of messages that were never stored whole are passed: each message was stored again", zap.Int("chunks", orphans))
	}
}
